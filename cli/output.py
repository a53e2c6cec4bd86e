"""What commands print: JSON on request, else tables. Progress, remarks and errors go to standard error.

Everything is printed as it is: a text in brackets, such as `[title, sentence]`, is no style.
"""

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

_PIPE_WIDTH = 160
_LINE_EVERY = 25
_SECONDS_BETWEEN_LINES = 10
_COLUMNS = (
    TextColumn("{task.description}", markup=False),
    BarColumn(),
    MofNCompleteColumn(),
    TextColumn("{task.fields[loss]}", markup=False),
    TimeRemainingColumn(),
)

remarks = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
_tables = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)


def print_styled(style: str, text: str, rest: str = "") -> None:
    """Print a remark that begins in a style, such as `bold`."""
    remarks.print(Text.assemble((text, style), rest))


def print_json(value: Any) -> None:
    """Print a report as JSON."""
    print(json.dumps(value, indent=1, ensure_ascii=False, default=str))


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a report as a table. Columns of numbers are right-aligned."""
    table = Table(title=title, title_justify="left")
    for i, column in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[i], int | float) for row in rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row))
    _tables.print(table)


@contextlib.contextmanager
def busy(what: str) -> Iterator[None]:
    """Show a spinner while the block runs, if standard error is a terminal."""
    if not remarks.is_terminal:
        yield
        return
    with remarks.status(Text(what)):
        yield


@contextlib.contextmanager
def steps(what: str) -> Iterator[Callable[[int, int, float], None]]:
    """A function to call with the step, the number of steps and the loss.

    It moves a progress bar; without a terminal it prints a line every 25 steps.
    """
    with Progress(*_COLUMNS, console=remarks, disable=not remarks.is_terminal) as bar:
        task = bar.add_task(what, total=None, loss="")

        def advance(step: int, total: int, loss: float) -> None:
            bar.update(task, completed=step, total=total, loss=f"loss {loss:.3f}")
            if not remarks.is_terminal and step % _LINE_EVERY == 0:
                remarks.print(f"{what}: {step} of {total}, loss {loss:.3f}")

        yield advance


@contextlib.contextmanager
def phases() -> Iterator[Callable[[str, int, int], None]]:
    """A function to call with what is being done, how much of it is done, and how much there is.

    It moves a progress bar; without a terminal it prints a line when a phase begins, every ten seconds, and at its end.
    """
    if remarks.is_terminal:
        with Progress(*_COLUMNS, console=remarks) as bar:
            task = bar.add_task("", total=None, loss="")
            yield lambda what, done, total: bar.update(task, description=what, completed=done, total=total)
    else:
        yield _Lines()


class _Lines:
    """Progress as lines of a log."""

    def __init__(self) -> None:
        self._what, self._began, self._printed = "", 0.0, 0.0

    def __call__(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        begins = what != self._what
        if begins:
            self._what, self._began = what, now
        if begins or done >= total or now - self._printed >= _SECONDS_BETWEEN_LINES:
            self._printed = now
            remarks.print(f"{what}: {done} of {total}, {now - self._began:.0f} s")


@contextlib.contextmanager
def counting(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A function to call with the number done. It moves a progress bar, if standard error is a terminal."""
    with Progress(*_COLUMNS, console=remarks, disable=not remarks.is_terminal) as bar:
        task = bar.add_task(what, total=total, loss="")
        yield lambda done: bar.update(task, completed=done)
