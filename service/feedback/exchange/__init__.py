"""Import and export of feedback in the file formats of other tools.

A file of a format becomes items and back; `transfer` moves items into the store and out of it. A new format is one
module here, called as the format but with underscores, that defines the two functions of `Format`; name it in FORMATS.

    qa_feedback.py        QA-Feedback's rows, without loss
    label_studio.py       Label Studio's tasks and annotations
    argilla.py            Argilla's records
    item.py               one person's feedback on one response, between a file and the store
    transfer.py           items into the store and out of it
    comparison_index.py   the store's comparisons, by the responses they belong to
    files.py              files of JSON records: reading one by one, writing in one step
    task_source.py        what a task in another tool carries along, so that nothing is lost on the way back
    passage_text.py       passages as one text that people mark in other tools, and back
    pair_questions.py     names of the questions and answers about pairs in other tools
    offsets.py            UTF-16 code units and code points
"""

from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from rewards.errors import FgctlError

if TYPE_CHECKING:
    from service.feedback.exchange.item import Item, Refusal

FORMATS = ("qa-feedback", "label-studio", "argilla")
"""Names of the formats. Only the format in use is imported, so that the command line can list them at once."""


class Format(Protocol):
    """What a format's module defines."""

    def read(self, path: Path) -> "Iterator[Item | Refusal]":
        """The items of a file, and a refusal for each record that cannot be used. Raises FgctlError."""

    def write(self, items: "Iterable[Item]", path: Path) -> int:
        """Write items to a file, and return how many. Raises FgctlError."""


def format_named(name: str) -> Format:
    """The format of that name. Raises FgctlError, listing the formats, if there is none."""
    if name not in FORMATS:
        raise FgctlError(f"There is no format {name!r}; choose {', '.join(FORMATS)}.")
    return cast(Format, import_module(f"{__name__}.{name.replace('-', '_')}"))
