"""How a segment's wording lines up with the passages. Factuality reads this beside similarities.

A response that joins true pieces wrongly shares its words with the passages, but in short runs from sentences far
apart. Extractive fragments are those of Grusky et al. 2018 (arXiv 1804.11283).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rewards.features.words import STOP_WORDS, capitalised_of, numbers_of, tokens_of

Matrix = NDArray[np.float64]

ALIGNMENT_FEATURES = (
    "fragment density", "unknown words", "unknown names", "unknown numbers", "worst part covered", "words together",
    "common subsequence", "two sentences cover",
)  # fmt: skip
_BREAK = "\0"
_NEAREST = 3
"""How many of the most similar passage sentences, besides the best covering one, to search for the longest common
subsequence."""
_MAX_TOKENS = 120
"""The common subsequence reads no more tokens than this of a segment."""


@dataclass(frozen=True)
class Source:
    """The words of the passages, to align a response with."""

    sentences: tuple[tuple[str, ...], ...]
    """Tokens of each passage sentence."""
    words: tuple[frozenset[str], ...]
    """Distinct tokens of each passage sentence."""
    sequence: tuple[str, ...]
    """All tokens, titles first, with a break after each title and sentence."""
    positions: dict[str, tuple[int, ...]]
    """The positions of each token in the sequence."""

    @classmethod
    def of(cls, titles: Sequence[str], sentences: Sequence[str]) -> "Source":
        """Read the passages' titles and sentences."""
        tokens = tuple(tuple(tokens_of(s)) for s in sentences)
        sequence = tuple(t for piece in (*map(tokens_of, titles), *tokens) for t in (*piece, _BREAK))
        positions: dict[str, list[int]] = {}
        for i, token in enumerate(sequence):
            if token != _BREAK:
                positions.setdefault(token, []).append(i)
        return cls(tokens, tuple(map(frozenset, tokens)), sequence, {t: tuple(p) for t, p in positions.items()})


def alignment_features(
    text: str, parts: Sequence[str], source: Source, similarities: Matrix, question_words: frozenset[str]
) -> list[float]:
    """ALIGNMENT_FEATURES of a segment whose sub-sentences are `parts`; `similarities` is [passage sentences]."""
    tokens = tokens_of(text)
    content = [t for t in tokens if t not in STOP_WORDS]
    words = set(content)
    lengths = fragments(tokens, source)
    covers = np.array([len(words & sentence) for sentence in source.words], dtype=np.float64) / max(1, len(words))
    best = int(np.argmax(covers)) if len(covers) else -1
    pair = max((len(words & (source.words[best] | other)) for other in source.words), default=0) / max(1, len(words))
    neighbours = [(a, b) for a, b in pairwise(content) if a != b]
    together = sum(any(a in sentence and b in sentence for sentence in source.words) for a, b in neighbours)
    nearest = {*np.argsort(-similarities, kind="stable")[:_NEAREST].tolist(), best} - {-1}
    head = tokens[:_MAX_TOKENS]
    common = max((common_subsequence(head, source.sentences[i]) for i in sorted(nearest)), default=0)
    return [
        sum(n * n for n in lengths) / max(1, len(tokens)),
        float(np.log1p(sum(t not in source.positions and t not in question_words for t in content))),
        float(np.log1p(sum(t not in source.positions for t in capitalised_of(text)))),
        float(np.log1p(sum(t not in source.positions for t in numbers_of(tokens)))),
        min((_best_cover(part, source) for part in parts), default=1.0),
        together / len(neighbours) if neighbours else 1.0,
        common / max(1, len(head)),
        pair,
    ]


def fragments(tokens: Sequence[str], source: Source) -> list[int]:
    """Lengths of the longest runs shared with the source, matched greedily from the left."""
    lengths = []
    i = 0
    while i < len(tokens):
        best = max((_run(tokens, i, source.sequence, j) for j in source.positions.get(tokens[i], ())), default=0)
        if best:
            lengths.append(best)
        i += max(1, best)
    return lengths


def _run(a: Sequence[str], i: int, b: Sequence[str], j: int) -> int:
    """How many tokens `a` from i on and `b` from j on have in common."""
    n = 0
    while i + n < len(a) and j + n < len(b) and a[i + n] == b[j + n]:
        n += 1
    return n


def common_subsequence(a: Sequence[str], b: Sequence[str]) -> int:
    """Length of the longest common subsequence of two token sequences."""
    row = [0] * (len(b) + 1)
    for x in a:
        before = row
        row = [0]
        for j, y in enumerate(b):
            row.append(before[j] + 1 if x == y else max(before[j + 1], row[j]))
    return row[-1]


def _best_cover(part: str, source: Source) -> float:
    words = {t for t in tokens_of(part) if t not in STOP_WORDS}
    return max((len(words & sentence) for sentence in source.words), default=0) / len(words) if words else 1.0
