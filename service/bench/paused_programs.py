"""Programs that take turns on one machine: started in groups of their own, and stopped in their tracks between turns.

An engine that has nothing to do still polls. So that it costs the others nothing, every program but the one whose
turn it is stands still (SIGSTOP), together with the processes that it started.
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

from rewards.errors import FgctlError
from rewards.statistics.benchmarks import peak_memory_of

_END_GRACE = 20.0
"""Seconds that a program gets to end when it is asked to."""


class Program:
    """A program in a process group of its own, whose log is kept while it runs. A context manager that ends it."""

    def __init__(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], *, piped: bool = False
    ) -> None:
        """Start it. With `piped`, its standard input and output are pipes; else its output goes to its log."""
        self.name = name
        # Appended to, so that reading it does not move the place where the program writes.
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
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    @property
    def input(self) -> IO[str]:
        """Its standard input, where it is piped."""
        assert self.process.stdin is not None  # noqa: S101
        return self.process.stdin

    @property
    def output(self) -> IO[str]:
        """Its standard output, where it is piped."""
        assert self.process.stdout is not None  # noqa: S101
        return self.process.stdout

    def check(self) -> None:
        """Raise FgctlError with the end of its log when it has ended."""
        if self.process.poll() is not None:
            raise FgctlError(f"{self.name} ended with code {self.process.returncode}: {self.last_words()}")

    def last_words(self) -> str:
        """The last line of its log that says something."""
        self._log.flush()
        self._log.seek(0)
        lines = [line.strip() for line in self._log.read().splitlines() if line.strip()]
        return lines[-1] if lines else "it said nothing."

    def pause(self) -> None:
        """Let it and its processes stand still."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Its turn: it runs within, and stands still afterwards."""
        self.resume()
        try:
            yield
        finally:
            self.pause()

    def peak_memory(self) -> int:
        """The sum of the peaks of resident memory, in bytes, of its processes."""
        return sum(peak_memory_of(pid) or 0 for pid in self.processes())

    def processes(self) -> list[int]:
        """The living processes of its group."""
        found = []
        for status in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = status.read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it has just ended
            if int(fields[2]) == self.process.pid and fields[0] != "Z":
                found.append(int(status.parent.name))
        return found

    def end(self) -> None:
        """End it and all its processes: politely first."""
        self.resume()
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + _END_GRACE
        while self.processes() and time.monotonic() < deadline:
            self.process.poll()  # so that it does not remain as a zombie
            time.sleep(0.05)
        self._signal(signal.SIGKILL)
        self.process.wait()
        self._log.close()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)
