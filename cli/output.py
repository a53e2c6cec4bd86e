"""How commands speak: JSON on request, tables otherwise; progress and remarks go to standard error."""

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

_PIPE_WIDTH = 160

remarks = Console(stderr=True, highlight=False, soft_wrap=True)
_tables = Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)


def print_json(value: Any) -> None:
    """Print a report as JSON."""
    print(json.dumps(value, indent=1, ensure_ascii=False, default=str))


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a report as a table; numbers lean right."""
    table = Table(title=title, title_justify="left")
    for i, column in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[i], int | float) for row in rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row))
    _tables.print(table)


@contextlib.contextmanager
def busy(what: str) -> Iterator[None]:
    """Show that something is going on for a while; nothing when nobody watches."""
    if not remarks.is_terminal:
        yield
        return
    with remarks.status(what):
        yield
