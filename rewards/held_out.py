"""The questions that are set aside: held out for evaluation, or for validation while policies are trained.

No training may see either, whatever file they are in: neither that of policies nor that of reward models. Policies are
chosen by what they earn on the validation questions, and the reference answers to these are the ceiling of what
training may reach; rewards that were fitted on those references would pay them too much.
"""

import hashlib
import unicodedata
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TypeVar

from rewards.dataset import PACKAGE, Example, FeedbackExample, question_key
from rewards.errors import FgctlError

HELD_OUT = PACKAGE / "splits" / "held_out.txt"
"""Keys of the held-out questions (rewards.dataset.question_key), one a line."""
VALIDATION = PACKAGE / "splits" / "validation.txt"
"""Keys of the validation questions."""
VALIDATION_QUESTIONS = 80

_STRAIGHT = str.maketrans("‘’“”", "''\"\"")

_Row = TypeVar("_Row", Example, FeedbackExample)


def held_out_keys(path: Path = HELD_OUT) -> frozenset[str]:
    """Keys of the held-out questions."""
    return _listed(path)


def validation_keys(path: Path = VALIDATION) -> frozenset[str]:
    """Keys of the validation questions."""
    return _listed(path)


@cache
def _listed(path: Path) -> frozenset[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return frozenset(line for line in lines if line and not line.startswith("#"))


def without_held_out(rows: Iterable[_Row]) -> list[_Row]:
    """The rows whose questions training may use: neither held out nor for validation."""
    aside = held_out_keys() | validation_keys()
    return [row for row in rows if not _is_listed(row.question, aside)]


def only_held_out(rows: Iterable[_Row]) -> list[_Row]:
    """The rows whose questions are held out."""
    return [row for row in rows if _is_listed(row.question, held_out_keys())]


def to_evaluate(rows: Iterable[_Row]) -> list[_Row]:
    """The rows whose questions are held out; all of them where none is, as in data of your own.

    Raises FgctlError without any row.
    """
    every = list(rows)
    if not every:
        raise FgctlError("The data has no question to evaluate on; name a file that has some.")
    return only_held_out(every) or every


def _is_listed(question: str, keys: frozenset[str]) -> bool:
    """Whether a list of keys has a question, or one that differs from it only in how it is written at its end."""
    plain = unicodedata.normalize("NFKC", question).translate(_STRAIGHT).rstrip(" \t\r\n?!.…:;,")
    written = {question, *(plain + end for end in ("?", "", " ?", ".", "!", "??"))}
    return not keys.isdisjoint(map(question_key, written))


def only_validation(rows: Iterable[_Row]) -> list[_Row]:
    """The rows whose questions are for validation."""
    return [row for row in rows if _is_listed(row.question, validation_keys())]


def split_validation(rows: Iterable[_Row]) -> tuple[list[_Row], list[_Row]]:
    """The rows to train on, and those for validation.

    Of rows without any listed question, such as data of your own, a tenth is drawn, at most VALIDATION_QUESTIONS.
    """
    rows = list(rows)
    training, validation = without_held_out(rows), only_validation(rows)
    if not validation:
        keys = draw_validation({question_key(row.question) for row in training}, len(training) // 10)
        validation = [row for row in training if question_key(row.question) in keys]
        training = [row for row in training if question_key(row.question) not in keys]
    return training, validation


def draw_validation(keys: Iterable[str], most: int = VALIDATION_QUESTIONS) -> list[str]:
    """Draw at most VALIDATION_QUESTIONS questions, by their keys: those with the least SHA-256 of `validation KEY`.

    Whether a question is drawn hardly depends on which others there are, so the choice survives changes of the data.
    """
    order = sorted(keys, key=lambda key: hashlib.sha256(f"validation {key}".encode()).hexdigest())
    return order[: min(most, VALIDATION_QUESTIONS)]
