"""Import and export of feedback in the file formats of other tools.

A file of a format becomes items and back; `importing` and `exporting` move items into the store and out of it. A new
format is one module or folder here, called as the format but with underscores, that defines what `Format` declares;
name it in FORMATS.

    qa_feedback.py        QA-Feedback's rows, without loss
    label_studio/         Label Studio's tasks and annotations
    argilla/              Argilla's records
    doccano.py            doccano's JSON lines
    prodigy.py            Prodigy's JSON lines
    tasks/                what tasks in these tools are made of
    usable.py             a record as an item, or why it cannot be used
    item.py               one person's feedback on one response, between a file and the store
    importing.py          items into the store
    exporting.py          items out of the store
    comparison_index.py   the store's comparisons, by the responses they belong to
    files.py              files of JSON records: reading one by one, writing in one step
    foreign.py            formats that are refused by name
"""

from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from rewards.errors import FgctlError

if TYPE_CHECKING:
    from service.feedback.exchange.item import Item, Read, ReadOptions

FORMATS = ("qa-feedback", "label-studio", "argilla", "doccano", "prodigy")
"""Names of the formats. Only the format in use is imported, so that the command line can list them at once."""


class Format(Protocol):
    """What a format's module defines."""

    CONTROLS: tuple[str, ...]
    """The controls, questions or columns that are read; `ReadOptions.names` maps others to them."""

    def read(self, path: Path, options: "ReadOptions" = ...) -> "Iterator[Read]":
        """The items of a file, and what cannot be used of it, with reasons. Raises FgctlError."""

    def write(self, items: "Iterable[Item]", path: Path) -> int:
        """Write items to a file, and return how many. Raises FgctlError."""


def format_named(name: str) -> Format:
    """The format of that name. Raises FgctlError, listing the formats, if there is none."""
    if name not in FORMATS:
        raise FgctlError(f"There is no format {name!r}; choose {', '.join(FORMATS)}.")
    return cast(Format, import_module(f"{__name__}.{name.replace('-', '_')}"))
