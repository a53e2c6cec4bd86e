"""Cuts a response into segments, as code-point offsets: sentences, sub-sentences, or the whole response.

Sub-sentences follow Wu et al. 2023 (appendix B). A sentence is split after a word ending in `,`, `;`, `!` or `?` when
at least five words follow. A piece of fewer than five words joins the piece on its left; the first piece joins the one
on its right.
"""

import re
from functools import lru_cache

from sentencex import segment

from rewards.categories import Density

Span = tuple[int, int]
"""Start and end in code points, end exclusive."""

MIN_WORDS = 5
"""Words of a sub-sentence, at least, unless its whole sentence is shorter."""
_WORD = re.compile(r"\S+")
_BREAKS = (",", ";", "!", "?")


def segments(text: str, density: Density) -> list[Span]:
    """The segments that a category of that density scores. Empty for text without a visible character."""
    if density == "sentence":
        return sentences(text)
    if density == "sub-sentence":
        return sub_sentences(text)
    span = _trim(text, 0, len(text))
    return [span] if span else []


def sentences(text: str) -> list[Span]:
    """Sentences in order. Together they contain every visible character."""
    return list(_sentences(text))


@lru_cache(maxsize=4096)
def _sentences(text: str) -> tuple[Span, ...]:
    spans = []
    position = 0
    for piece in segment("en", text):
        start = text.find(piece, position)
        if start < 0:
            continue
        span = _trim(text, position, start + len(piece))
        position = start + len(piece)
        if span:
            spans.append(span)
    rest = _trim(text, position, len(text))
    return (*spans, rest) if rest else tuple(spans)


def sub_sentences(text: str) -> list[Span]:
    """Sub-sentences in order. Together they contain every visible character."""
    return [span for sentence in sentences(text) for span in _split_sentence(text, sentence)]


def _split_sentence(text: str, sentence: Span) -> list[Span]:
    words = [(m.start(), m.end()) for m in _WORD.finditer(text, *sentence)]
    pieces: list[list[Span]] = [[]]
    for i, (start, end) in enumerate(words):
        pieces[-1].append((start, end))
        if text[end - 1] in _BREAKS and len(words) - i - 1 >= MIN_WORDS:
            pieces.append([])
    merged: list[list[Span]] = []
    for piece in pieces:
        if merged and (len(piece) < MIN_WORDS or (len(merged) == 1 and len(merged[0]) < MIN_WORDS)):
            merged[-1] += piece
        else:
            merged.append(piece)
    return [(piece[0][0], piece[-1][1]) for piece in merged]


def _trim(text: str, start: int, end: int) -> Span | None:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return (start, end) if end > start else None
