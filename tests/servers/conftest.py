"""Whole programs, started as their users start them."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = {
    "prometheus": ROOT / ".servers/usr/bin/prometheus",
    "promtool": ROOT / ".servers/usr/bin/promtool",
    "alertmanager": ROOT / ".servers/bin/alertmanager",
    "amtool": ROOT / ".servers/usr/bin/amtool",
}
"""Where `make servers` puts them."""


class Server:
    """`fgctl serve` on a free port, with the policies that the repository ships."""

    def __init__(self, log, environment, **settings):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = log
        self._environment = environment | settings
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cli", "serve", "--port", str(self.port)],
            cwd=ROOT,
            stdout=log.open("w"),
            stderr=subprocess.STDOUT,
            env=environment | {"FGCTL_SCORING_TIMEOUT": "60", "FGCTL_KV_CACHE_GIB": "1"} | settings,
        )

    def wait_until_ready(self):
        deadline = time.monotonic() + 500
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            try:
                if httpx.get(f"{self.url}/readyz", timeout=5).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.2)
        raise AssertionError(self.log.read_text())

    def fgctl(self, *arguments):
        environment = self._environment | {"FGCTL_SERVER": self.url}
        command = [sys.executable, "-m", "cli", *arguments]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def program():
    """Gives the path of a program of PROGRAMS: $FGCTL_PROMETHEUS and so on, or what `make servers` unpacked."""

    def path_of(name):
        variable = f"FGCTL_{name.upper()}"
        path = Path(os.environ.get(variable) or PROGRAMS[name])
        if not path.is_file():
            pytest.fail(f"{path} is missing: run `make servers`, or set {variable} to the path of {name}.")
        return path

    return path_of


@pytest.fixture(scope="session")
def start(tmp_path_factory, environment):
    """Starts a service with settings of its own, as environment variables; the caller ends it."""
    pytest.importorskip("vllm")

    def started(**settings):
        server = Server(tmp_path_factory.mktemp("server") / "log.txt", environment, **settings)
        try:
            server.wait_until_ready()
        except BaseException:
            server.process.terminate()  # and so its engine
            server.process.wait(60)
            raise
        return server

    return started
