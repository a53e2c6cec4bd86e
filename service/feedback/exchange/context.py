"""Passages as one text, on which other tools let people mark sentences, and the way back to passage and sentence."""

from collections.abc import Sequence
from dataclasses import dataclass

Place = tuple[int, int]
"""Passage and sentence, both counted from 1; sentence 0 is the passage's title."""


@dataclass(frozen=True)
class Context:
    """Passages as one text."""

    text: str
    spans: dict[Place, tuple[int, int]]
    """Where each title and sentence lies, in code points."""

    def places(self, start: int, end: int) -> list[Place]:
        """The sentences that a span overlaps, in order; titles only where it overlaps nothing else."""
        found = [place for place, (a, b) in self.spans.items() if a < end and start < b]
        return [place for place in found if place[1]] or found


def render(passages: Sequence[Sequence[str]]) -> Context:
    """Number and join passages: a line for each title and sentence."""
    text, spans = "", {}
    for p, passage in enumerate(passages, 1):
        for s, sentence in enumerate(passage):
            text += f"[{p}.{s}] " if s else f"[{p}] "
            spans[p, s] = (len(text), len(text) + len(sentence))
            text += sentence + "\n"
        text += "\n"
    return Context(text, spans)
