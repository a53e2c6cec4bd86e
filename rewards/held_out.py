"""The questions held out for evaluation. No training may see them, whatever file they are in."""

import unicodedata
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TypeVar

from rewards.dataset import PACKAGE, Example, FeedbackExample, question_key

HELD_OUT = PACKAGE / "splits" / "held_out.txt"
"""Keys of the held-out questions (rewards.dataset.question_key), one a line."""

_STRAIGHT = str.maketrans("‘’“”", "''\"\"")

_Row = TypeVar("_Row", Example, FeedbackExample)


@cache
def held_out_keys(path: Path = HELD_OUT) -> frozenset[str]:
    """Keys of the held-out questions."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return frozenset(line for line in lines if line and not line.startswith("#"))


def without_held_out(rows: Iterable[_Row]) -> list[_Row]:
    """The rows whose questions training may use."""
    return [row for row in rows if not _is_held_out(row.question)]


def only_held_out(rows: Iterable[_Row]) -> list[_Row]:
    """The rows whose questions are held out."""
    return [row for row in rows if _is_held_out(row.question)]


def _is_held_out(question: str) -> bool:
    """Whether a question is held out, or differs from one that is only in how it is written at its end."""
    plain = unicodedata.normalize("NFKC", question).translate(_STRAIGHT).rstrip(" \t\r\n?!.…:;,")
    written = {question, *(plain + end for end in ("?", "", " ?", ".", "!", "??"))}
    return not held_out_keys().isdisjoint(map(question_key, written))
