"""What a caller said of answers, with the answers' scores: what preferences are learned from."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

Scored = dict[str, Any]
"""Stored scores, in the shape of ScoredResponse.as_json."""


@dataclass(frozen=True)
class Opinions:
    """The latest thumb on each answer and the latest choice in each pair, of scored answers alone."""

    thumbs: tuple[tuple[Scored, bool], ...] = ()
    """An answer's scores, and whether the thumb is up."""
    choices: tuple[tuple[Scored, Scored], ...] = ()
    """The scores of the better and of the worse answer."""
    ties: tuple[tuple[Scored, Scored], ...] = ()
    """The scores of two that are equally good."""
    since: datetime | None = None
    """What came before was forgotten; None if nothing was."""
