"""What every tier uses."""

import ctypes
import os
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from contextlib import suppress
from pathlib import Path

import hypothesis
import psutil
import pytest

# How long an example takes says more of the machine than of the code.
hypothesis.settings.register_profile("suite", deadline=None)
hypothesis.settings.load_profile("suite")
_STARTED_IN = dict(os.environ)
# More threads only wait for one another on models as small as the tests', and on a machine that does something else.
os.environ.setdefault("OMP_NUM_THREADS", "1")
SERVERS = Path(__file__).parents[1] / ".servers/bin"
"""Where `make servers` puts PostgreSQL's programs."""
NOBODY = 65534
GROUPS = {
    "engines": (
        "integration/engine/", "integration/parallel/", "integration/test_training.py", "servers/program/",
        "servers/test_watching.py", "servers/test_engine_elsewhere.py", "servers/test_exported.py",
    ),
    "service": ("unit/service/",),
}  # fmt: skip
"""Files whose tests run one after another in one process: there is memory for one engine at a time, and one process
starts PostgreSQL and imports vLLM."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark the tests with PostgreSQL or Redis, and put the groups first, because they take longest."""
    for item in items:
        if {"start_postgres", "redis"} & set(item.fixturenames):
            item.add_marker("postgres")
    order = list(GROUPS)
    items.sort(key=lambda item: order.index(group) if (group := group_of(item.nodeid)) in order else len(order))


def group_of(nodeid):
    """What runs in one process, one test after another: one of GROUPS, or the tests of any other file."""
    file = nodeid.partition("::")[0].removeprefix("tests/")
    return next((group for group, places in GROUPS.items() if file.startswith(places)), file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """The scheduler of `pytest -n 2`. Its own `--dist loadgroup` groups nothing since pytest 9.2 (xdist 3.8)."""
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return group_of(nodeid)

    return ByGroup(config, log)


@pytest.fixture(scope="module", autouse=True)
def _freed_memory():
    """Give the memory of a file's models back to the system, which the C library would keep."""
    yield
    with suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


@pytest.fixture(scope="session")
def environment():
    """The environment of a user's shell: that of the suite before engines in this process added to it."""
    return dict(_STARTED_IN)


class Postgres:
    """A PostgreSQL server of the tests' own, which trusts every local connection."""

    def __init__(self, directory, programs):
        self._programs = programs
        self._data = directory / "data"
        self.log = directory / "log.txt"
        # PostgreSQL refuses to run as root.
        self._as = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        if self._as:
            os.chown(directory, NOBODY, NOBODY)
        command = [programs["initdb"], "-D", self._data, "-U", "fgctl", "--auth=trust", "--encoding=UTF8", "--locale=C"]
        made = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False, **self._as)
        assert made.returncode == 0, made.stderr
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self.start()

    def start(self, file_size=None):
        """Start it and wait until it answers. No file may grow beyond a size in bytes, where one is given."""
        settings = {"listen_addresses": "127.0.0.1", "port": self._port, "unix_socket_directories": "", "jit": "off"}
        options = [option for name, value in settings.items() for option in ("-c", f"{name}={value}")]
        # In blocks of 512 bytes.
        limited = [] if file_size is None else ["sh", "-c", f'ulimit -f {file_size // 512}; exec "$@"', "sh"]
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [*limited, self._programs["postgres"], "-D", self._data, *options],
                cwd=self._data, stdout=log, stderr=log, **self._as,
            )  # fmt: skip
        for _ in range(300):
            assert self.process.poll() is None, self.log.read_text()
            try:
                self._connect().close()
            except Exception:  # noqa: BLE001  # whatever the driver raises until it answers
                time.sleep(0.1)
            else:
                return
        raise AssertionError(self.log.read_text())

    def kill(self):
        """End it as a power failure would, with the processes that answer its connections."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        self.process.kill()
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        self.process.wait(60)
        psutil.wait_procs(children, 60)

    def stop(self):
        """End it and every connection."""
        self.process.send_signal(2)
        self.process.wait(300)  # a last checkpoint of every database on a busy disk

    def database(self):
        """The URL of a new, empty database."""
        name = f"fgctl_{uuid.uuid4().hex}"
        with self._connect() as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self._url(name)

    def _url(self, name):
        return f"postgresql://fgctl@127.0.0.1:{self._port}/{name}"

    def _connect(self):
        import psycopg

        return psycopg.connect(self._url("postgres"), autocommit=True, connect_timeout=5)


@pytest.fixture(scope="session")
def start_postgres():
    """Starts PostgreSQL servers: $FGCTL_POSTGRES and $FGCTL_INITDB, or what `make servers` unpacked."""
    programs = {}
    for name in ("postgres", "initdb"):
        variable = f"FGCTL_{name.upper()}"
        programs[name] = Path(os.environ.get(variable) or SERVERS / name)
        if not programs[name].is_file():
            pytest.fail(f"{programs[name]} is missing: run `make servers`, or set {variable} to the path of {name}.")
    started, directories = [], []

    def start():
        # Not pytest's own directory, which only its owner may enter.
        directories.append(Path(tempfile.mkdtemp(prefix="fgctl-postgres-")))
        started.append(Postgres(directories[-1], programs))
        return started[-1]

    yield start
    for server in started:
        server.stop()
    for directory in directories:
        shutil.rmtree(directory)


@pytest.fixture(scope="session")
def postgres(start_postgres):
    """A server for tests that need no server of their own."""
    return start_postgres()


class Redis:
    """A Redis server of the tests' own, which keeps nothing on disk."""

    def __init__(self, program):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self._program = program
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self.start()

    def start(self):
        """Start it and wait until it answers."""
        options = ["--port", str(self._port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self.process = subprocess.Popen([self._program, *options], stdout=subprocess.DEVNULL, cwd=tempfile.gettempdir())
        for _ in range(300):
            with suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 5):
                return
            assert self.process.poll() is None, "Redis does not start"
            time.sleep(0.1)

    def stop(self):
        self.process.terminate()
        self.process.wait(60)


@pytest.fixture(scope="session")
def redis():
    """A Redis server: $FGCTL_REDIS_SERVER, or what `make servers` unpacked."""
    program = Path(os.environ.get("FGCTL_REDIS_SERVER") or SERVERS / "redis-server")
    if not program.is_file():
        pytest.fail(f"{program} is missing: run `make servers`, or set FGCTL_REDIS_SERVER to the path of redis-server.")
    server = Redis(program)
    yield server
    server.stop()
