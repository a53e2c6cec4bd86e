"""Passages as one text, in which people mark sentences in other tools, and the way back to passage and sentence."""

from collections.abc import Sequence
from dataclasses import dataclass

Place = tuple[int, int]
"""Passage and sentence, both from 1; sentence 0 is the passage's title."""


@dataclass(frozen=True)
class PassageText:
    """Passages as one text."""

    text: str
    spans: dict[Place, tuple[int, int]]
    """Where each title and sentence is, in code points."""

    def places(self, start: int, end: int) -> list[Place]:
        """The sentences that a span overlaps, in order; titles only if it overlaps no sentence."""
        overlapping = [place for place, (a, b) in self.spans.items() if a < end and start < b]
        return [place for place in overlapping if place[1]] or overlapping


def render(passages: Sequence[Sequence[str]]) -> PassageText:
    """Number and join passages: one line for each title and sentence."""
    text, spans = "", {}
    for p, passage in enumerate(passages, 1):
        for s, sentence in enumerate(passage):
            text += f"[{p}.{s}] " if s else f"[{p}] "
            spans[p, s] = (len(text), len(text) + len(sentence))
            text += sentence + "\n"
        text += "\n"
    return PassageText(text, spans)
