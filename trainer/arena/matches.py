"""The matches of an arena: two contestants' answers to one question, and the verdicts on them.

A judge sees two texts and never who wrote them. Which match comes next and which text is shown first are drawn by a
hash, so they depend on no contestant and are the same after an interruption.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from pydantic import BaseModel, ConfigDict

Side = Literal["a", "b"]
Choice = Literal["a", "b", "tie", "neither"]
SCORE: Mapping[str, float] = {"a": 1.0, "b": 0.0, "tie": 0.5, "neither": 0.5}
"""What a verdict is worth for `a`. Both bad counts as a tie in ratings and win rates, and is reported apart."""


@dataclass(frozen=True)
class Match:
    """Two contestants' answers to one question."""

    question: int
    """The question's place in the arena."""
    seed: int
    a: str
    b: str
    """Names of the contestants."""
    key: str
    """What identifies it: the question, the seed and both texts."""

    @property
    def first(self) -> Side:
        """Which side is shown first."""
        return "a" if _draw(f"first {self.key}") % 2 == 0 else "b"


class Verdict(BaseModel):
    """What a judge says of a match, having seen one side first."""

    model_config = ConfigDict(frozen=True)

    match: str
    """The match's key."""
    choice: Choice | None
    """None where the judge's reply could not be read."""
    first: Side | None = None
    """Which side was shown first; None for a judge that reads each text by itself."""
    who: str = ""
    """The person, where people judge."""


def matches_of(texts: Mapping[str, Sequence[Sequence[str]]], keys: Sequence[str]) -> list[Match]:
    """Every pair of contestants on every question and seed, in drawn order.

    `texts` holds the answers by contestant, question and seed; `keys` identify the questions.
    """
    matches = [
        Match(question, seed, a, b, _key(keys[question], seed, texts[a][question][seed], texts[b][question][seed]))
        for a, b in combinations(texts, 2)
        for question in range(len(keys))
        for seed in range(len(texts[a][question]))
    ]
    return sorted(matches, key=lambda match: (_draw(match.key), match.a, match.b))


def _key(*parts: object) -> str:
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:20]


def _draw(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
