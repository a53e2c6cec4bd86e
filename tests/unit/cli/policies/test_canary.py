"""`fgctl policies canary` beside services that answer /metrics."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from typer.testing import CliRunner

from cli.main import app
from cli.policies import canary
from policies.store import CanaryShare, PolicyStore
from rewards.errors import FgctlError

NOWHERE = "http://127.0.0.1:9"
run = CliRunner()


def invoke(*arguments):
    """The exit code, standard output, and standard error or the error's message."""
    result = run.invoke(app, ["policies", "canary", *map(str, arguments)])
    if isinstance(result.exception, FgctlError):
        return 1, result.stdout, str(result.exception)
    assert result.exception is None, result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("FGCTL_POLICIES", str(tmp_path / "policies"))
    monkeypatch.setattr(canary, "_SERVICE", NOWHERE)
    return PolicyStore()


@pytest.fixture
def versions(store, write_policy):
    """The current version of medium and another."""
    current, other = (write_policy(store, seed=seed).version for seed in (0, 1))
    store.promote("medium", current)
    return current, other


@pytest.fixture
def serve():
    """Starts a service that answers /metrics with a text; returns its URL."""
    servers = []

    def start(text):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200 if self.path == "/metrics" else 404)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *arguments):
                pass

        servers.append(HTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield start
    for server in servers:
        server.shutdown()


def exposition(version, canary, incumbent):
    """Counters of two arms; each is the responses and their mean error probability, spread by .1 about it."""
    lines = []
    for arm, (responses, mean) in (("canary", canary), ("incumbent", incumbent)):
        labels = f'profile="medium",canary="{version}",arm="{arm}"'
        lines += [
            f"fg_canary_responses_total{{{labels}}} {responses}",
            f'fg_canary_error_probability_total{{{labels},category="factuality"}} {responses * mean}',
            f'fg_canary_error_probability_squares_total{{{labels},category="factuality"}} '
            f"{responses * (mean**2 + 0.01)}",
        ]
    return "\n".join([*lines, ""])


def test_a_canary_is_set_and_ended(store, versions):
    current, other = versions
    assert invoke("medium", other, "--share", "0.2") == (0, "", f"20% of the callers of medium get {other}.\n")
    assert store.profile("medium").canary == CanaryShare(version=other, share=0.2)
    assert invoke("medium", "--end") == (0, "", f"All traffic of medium goes to {current}.\n")
    assert store.profile("medium").canary is None


def test_options_that_contradict_each_other_are_told(store, versions):
    assert "or neither to see how" in invoke("medium", versions[1], "--end")[2]
    assert "leave out the version and --end" in invoke("medium", versions[1], "--json")[2]
    assert store.profile("medium").canary is None


def test_without_a_canary_its_absence_is_shown(versions):
    assert invoke("medium") == (0, "", f"medium has no canary; all its traffic goes to {versions[0]}.\n")
    assert json.loads(invoke("medium", "--json")[1]) == {
        "profile": "medium",
        "incumbent": versions[0],
        "canary": None,
        "verdict": None,
    }
    assert "There is no profile 'none'" in invoke("none")[2]


def test_evidence_of_all_services_and_the_verdict_are_shown(store, versions, serve):
    current, other = versions
    store.set_canary("medium", other, 0.1)
    first = serve(exposition(other, (60, 0.4), (500, 0.2)))
    second = serve(exposition(other, (40, 0.4), (500, 0.2)))
    code, out, message = invoke("medium", "--service", first, "--service", second)
    assert code == 0
    assert "canary (100)" in out
    assert "incumbent (1000)" in out
    assert "0.400" in out
    assert "+0.200 [+0." in out
    assert f"10% of the callers of medium get {other}, the others {current}." in message
    assert "worse: In factuality the canary's mean error probability is 0.200 above the incumbent's" in message
    report = json.loads(invoke("medium", "--service", first, "--service", second, "--json")[1])
    assert report["canary"] == {"version": other, "share": 0.1}
    assert (report["verdict"], report["services"]) == ("worse", [first, second])
    assert report["responses"] == {"canary": 100, "incumbent": 1000}
    factuality = report["categories"]["factuality"]
    assert factuality["difference"] == pytest.approx(0.2)
    assert factuality["low"] == pytest.approx(0.2 - factuality["radius"])


def test_too_little_evidence_is_no_verdict(store, versions, serve):
    store.set_canary("medium", versions[1], 0.1)
    code, out, message = invoke("medium", "--service", serve(exposition(versions[1], (3, 0.4), (50, 0.2))))
    assert code == 0
    assert "[-1.000, +1.000]" in out
    assert "undecided: The canary has 3 scored responses and its incumbent 50" in message
    code, out, message = invoke("medium", "--service", serve(exposition("another", (300, 0.4), (5000, 0.2))))
    assert (code, out) == (0, "")
    assert "undecided: The canary has 0 scored responses" in message


def test_a_silent_service_is_an_error_only_where_it_was_named(store, versions, serve):
    current, other = versions
    store.set_canary("medium", other, 0.1)
    code, out, message = invoke("medium")
    assert (code, out) == (0, "")
    assert message.startswith(
        f"10% of the callers of medium get {other}, the others {current}.\nNo service answers at "
    )
    code, out, message = invoke("medium", "--json")
    assert code == 0
    assert json.loads(out)["canary"]["version"] == other
    assert json.loads(out)["verdict"] is None
    there = serve(exposition(other, (60, 0.4), (500, 0.2)))
    code, _, message = invoke("medium", "--service", there, "--service", NOWHERE)
    assert code == 1
    assert message.startswith(f"No service answers at {NOWHERE} ")
    assert "\n" not in message
