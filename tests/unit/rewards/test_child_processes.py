"""Children end with their parent: whole programs that are killed, with children and grandchildren of their own."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PROGRAM = """
import multiprocessing, os, sys, time
from rewards import child_processes

spawn = multiprocessing.get_context("spawn")

def child(generations, late):
    time.sleep(late)
    if "watched" in sys.argv:
        child_processes.ask_kernel = lambda: False
    child_processes.end_with_parent()
    print(os.getpid(), flush=True)
    if generations:
        spawn.Process(target=child, args=(generations - 1, late)).start()
    time.sleep(600)

if __name__ == "__main__":
    child_processes.end_with_parent()  # which has no parent to end with
    spawn.Process(target=child, args=(1, 0) if "late" not in sys.argv else (0, 1)).start()
    print("started", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def family(tmp_path):
    """Starts the program above; gives its process. Every process of its group is killed in the end."""
    (tmp_path / "family.py").write_text(PROGRAM)
    programs = []

    def started(*arguments):
        command = [sys.executable, str(tmp_path / "family.py"), *arguments]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        programs.append(
            subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True)
        )
        assert programs[-1].stdout.readline() == "started\n"
        return programs[-1]

    yield started
    for program in programs:
        program.kill()
        program.wait(10)
        program.stdout.close()
        for pid in group(program.pid):
            os.kill(pid, signal.SIGKILL)


def group(leader):
    """The running Python processes of a process group, without multiprocessing's own helper."""
    pids = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
            command = (status.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if int(fields[2]) == leader and fields[0] != "Z" and b"resource_tracker" not in command:
            pids.append(int(status.parent.name))
    return pids


def wait_until_alone(program):
    for _ in range(300):
        if not group(program.pid):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("stopped", [False, True], ids=["", "stopped"])
def test_children_and_grandchildren_end_with_a_parent_that_is_killed(family, stopped):
    program = family()
    child, grandchild = (int(program.stdout.readline()) for _ in range(2))
    if stopped:
        for pid in (child, grandchild):
            os.kill(pid, signal.SIGSTOP)
    program.kill()
    program.wait(10)
    assert wait_until_alone(program)


def test_a_child_whose_parent_has_ended_before_it_could_ask_ends_too(family):
    program = family("late")
    program.kill()
    program.wait(10)
    assert group(program.pid)
    assert wait_until_alone(program)


def test_where_the_kernel_cannot_a_thread_watches_the_parent(family):
    program = family("watched")
    for _ in range(2):
        program.stdout.readline()
    program.kill()
    program.wait(10)
    assert wait_until_alone(program)
