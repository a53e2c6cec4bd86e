"""Feedback in the formats of others: QA-Feedback's, without loss, Label Studio's and Argilla's."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rewards.errors import FgctlError
from service.feedback.exchange import argilla, label_studio, qa_feedback
from service.feedback.exchange.item import Item, Refusal

__all__ = ["FORMATS", "Format", "Item", "Refusal", "format_named"]


@dataclass(frozen=True)
class Format:
    """How one tool's files are read and written."""

    read: Callable[[Path], Iterator[Item | Refusal]]
    write: Callable[[Iterable[Item], Path], int]


FORMATS = {
    "qa-feedback": Format(qa_feedback.read, qa_feedback.write),
    "label-studio": Format(label_studio.read, label_studio.write),
    "argilla": Format(argilla.read, argilla.write),
}


def format_named(name: str) -> Format:
    """The format of that name. Raises FgctlError naming those there are."""
    if name not in FORMATS:
        raise FgctlError(f"There is no format {name!r}; choose {', '.join(FORMATS)}.")
    return FORMATS[name]
