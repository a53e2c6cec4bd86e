"""Programs that take turns: paused, resumed, and ended with all their processes."""

import os
import sys
import time
from pathlib import Path

import pytest

from rewards.errors import FgctlError
from service.bench.paused_programs import Program

COUNTING = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
while True:
    print("tick", flush=True)
    time.sleep(0.01)
"""


def program(code, **options):
    return Program("The program", [sys.executable, "-c", code], os.environ, **options)


@pytest.fixture
def counting():
    with program(COUNTING) as running:
        until(lambda: "tick" in log(running))
        yield running


def log(program):
    program._log.seek(0)
    return program._log.read()


def until(condition):
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("the condition did not become true within 20 s")


def test_a_program_is_paused_between_its_turns(counting):
    with counting.turn():
        ticks = len(log(counting))
        until(lambda: len(log(counting)) > ticks)
    until(lambda: {state(pid) for pid in counting.processes()} == {"T"})
    ticks = len(log(counting))
    counting.resume()
    until(lambda: len(log(counting)) > ticks)


def test_the_processor_time_of_a_program_grows_while_it_works():
    with program("while True: pass") as working:
        before = working.cpu_seconds()
        until(lambda: working.cpu_seconds() > before)


def test_a_paused_program_ends_with_all_its_processes(counting):
    child = int(log(counting).split()[0])
    assert set(counting.processes()) == {counting.process.pid, child}
    assert counting.peak_memory() > 2**21
    counting.pause()
    counting.end()
    assert counting.processes() == []
    until(lambda: not alive(child))


def alive(pid):
    return state(pid) not in (None, "Z")


def state(pid):
    """What the system says that a process does, T where it stands still; None for one that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return None


def test_a_program_that_has_ended_is_an_error_with_the_last_line_of_its_log():
    with program("import sys; sys.exit('There is no such model.\\n')") as ended:
        ended.process.wait()
        with pytest.raises(FgctlError, match=r"The program ended with code 1: There is no such model\."):
            ended.check()


def test_a_program_that_ignores_sigterm_is_killed(monkeypatch):
    monkeypatch.setattr("service.bench.paused_programs._END_GRACE", 0.2)
    code = (
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('on', flush=True)\ntime.sleep(600)"
    )
    stubborn = program(code)
    until(lambda: "on" in log(stubborn))
    stubborn.end()
    assert stubborn.process.returncode == -9


def test_pipes_carry_lines_both_ways():
    with program("for line in iter(input, ''): print(line.upper())\n", piped=True) as echo:
        echo.input.write("a line\n")
        echo.input.write("\n")
        assert echo.output.readline() == "A LINE\n"
