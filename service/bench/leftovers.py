"""What a service leaves behind when it is ended: the processes of its group."""

import signal
import time

from rewards.errors import FgctlError
from service.bench.paused_programs import Program, children_of

_END = 900.0
"""Seconds within which the engine's processes must exist, and a service that is ended must have ended."""
_LEFT = 60.0
"""Seconds after which none of its processes may be left."""


def leftover(program: Program, number: signal.Signals) -> dict[str, int]:
    """End a service by a signal: how many processes it had, and how many are left when they have had time to end."""
    processes = len(program.processes())
    program.process.send_signal(number)
    program.process.wait(_END)
    # A process that is just being started ends as soon as it looks for its parent.
    deadline = time.monotonic() + _LEFT
    while program.processes() and time.monotonic() < deadline:
        time.sleep(0.1)
    return {"processes": processes, "left": len(program.processes())}


def wait_for_worker(program: Program) -> None:
    """Wait until the engine's processes exist, long before they have loaded anything. Raises FgctlError."""
    deadline = time.monotonic() + _END
    while not any(children_of(child) for child in children_of(program.process.pid)):
        program.check()
        if time.monotonic() > deadline:
            raise FgctlError(f"{program.name} starts no engine: {program.last_words()}")
        time.sleep(0.1)
