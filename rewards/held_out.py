"""The questions held out for evaluation. No training may see them, whatever file they are in."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TypeVar

from rewards.dataset import PACKAGE, Example, FeedbackExample, question_key

HELD_OUT = PACKAGE / "splits" / "held_out.txt"
"""Keys of the held-out questions (rewards.dataset.question_key), one a line."""

_Row = TypeVar("_Row", Example, FeedbackExample)


@cache
def held_out_keys(path: Path = HELD_OUT) -> frozenset[str]:
    """Keys of the held-out questions."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return frozenset(line for line in lines if line and not line.startswith("#"))


def without_held_out(rows: Iterable[_Row]) -> list[_Row]:
    """The rows whose questions training may use."""
    return [row for row in rows if question_key(row.question) not in held_out_keys()]


def only_held_out(rows: Iterable[_Row]) -> list[_Row]:
    """The rows whose questions are held out."""
    return [row for row in rows if question_key(row.question) in held_out_keys()]
