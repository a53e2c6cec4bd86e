"""Programs that take turns on one machine: between its turns, a program and all its processes are stopped (SIGSTOP).

Without that, idle engines would disturb the program that is measured, because they poll.
"""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from rewards.child_processes import ask_kernel
from rewards.errors import FgctlError
from rewards.statistics.benchmarks import peak_memory_of

_END_GRACE = 20.0
"""Seconds that a program has to end after SIGTERM."""


class Program:
    """A program in its own process group, with its log. A context manager that ends it."""

    def __init__(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], *, piped: bool = False
    ) -> None:
        """Start the program. With `piped`, its standard input and output are pipes; else its output goes to its log."""
        self.name = name
        # Opened for appending, so that reading the log does not change where the program writes.
        self._log = tempfile.TemporaryFile("a+")  # noqa: SIM115  # closed by end()
        pipe = subprocess.PIPE if piped else None
        self.process = subprocess.Popen(  # noqa: S603  # programs of this package and vLLM
            command,
            env=dict(environment),
            stdin=pipe or subprocess.DEVNULL,
            stdout=pipe or self._log,
            stderr=self._log,
            text=True,
            bufsize=1,
            start_new_session=True,
            preexec_fn=ask_kernel,  # noqa: PLW1509  # it ends with the benchmark, even one that is killed
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    @property
    def input(self) -> IO[str]:
        """Its standard input, if it is piped."""
        assert self.process.stdin is not None  # noqa: S101
        return self.process.stdin

    @property
    def output(self) -> IO[str]:
        """Its standard output, if it is piped."""
        assert self.process.stdout is not None  # noqa: S101
        return self.process.stdout

    def check(self) -> None:
        """Raise FgctlError with the last line of its log if it has ended."""
        if self.process.poll() is not None:
            raise FgctlError(f"{self.name} ended with code {self.process.returncode}: {self.last_words()}")

    def last_words(self) -> str:
        """The last line of its log that is not empty."""
        self._log.flush()
        self._log.seek(0)
        lines = [line.strip() for line in self._log.read().splitlines() if line.strip()]
        return lines[-1] if lines else "its log is empty."

    def pause(self) -> None:
        """Stop the program and its processes until `resume`."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let the program and its processes continue."""
        self._signal(signal.SIGCONT)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """A context in which the program runs; afterwards it is paused."""
        self.resume()
        try:
            yield
        finally:
            self.pause()

    def peak_memory(self) -> int:
        """The sum of its processes' peaks of resident memory, in bytes."""
        return sum(peak_memory_of(pid) or 0 for pid in self.processes())

    def cpu_seconds(self) -> float:
        """Processor time that its own process has used, without its children's. Raises FgctlError if it has ended."""
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            raise FgctlError(f"{self.name} has ended: {self.last_words()}") from None
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # utime and stime: proc(5)

    def processes(self) -> list[int]:
        """The ids of the running processes in its group."""
        return [process for process, (_, group) in _running() if group == self.process.pid]

    def end(self) -> None:
        """End the program and all its processes: by SIGTERM, then by SIGKILL."""
        self.resume()
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + _END_GRACE
        while self.processes() and time.monotonic() < deadline:
            self.process.poll()  # reap it, so that it does not remain as a zombie
            time.sleep(0.05)
        self._signal(signal.SIGKILL)
        self.process.wait()
        self._log.close()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)


def children_of(parent: int) -> list[int]:
    """The ids of the running processes that a process has started, without multiprocessing's own."""
    return [
        process
        for process, (its_parent, _) in _running()
        if its_parent == parent and b"multiprocessing.resource_tracker" not in _command(process)
    ]


def is_coordinator(process: int) -> bool:
    """Whether it is the process by which vLLM keeps several ranks in step."""
    return b"DPCoordinator" in _command(process)


def _running() -> Iterator[tuple[int, tuple[int, int]]]:
    """Every running process, with its parent and its group."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # the process has just ended
        if fields[0] != "Z":
            yield int(status.parent.name), (int(fields[1]), int(fields[2]))


def _command(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""
