"""Which of the passages' words a good answer would hold, and how much of them a response does.

Completeness is judged by covered content of the corrected response (rewards.fitting.segment_labels.covered_content). The corrected
response is not there at scoring time, but how likely each word is to stand in it can be learnt from questions with
reference answers, of which there are many more than annotated responses.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rewards.features.words import capitalised_of, content_words, numbers_of

Matrix = NDArray[np.float64]

WORD_FEATURES = (
    "best similarity", "mean similarity", "best rank", "sentences", "passages", "earliest sentence",
    "in first passage", "in an opening", "in question", "in a title", "in first title", "number", "capitalised",
    "in no sentence", "letters",
)  # fmt: skip
CONTENT_FEATURES = (
    "expected content", "expected share", "log expected content", "expected content a word", "likely content",
)  # fmt: skip
_ELSEWHERE = 0.02
"""Probability of a word that neither the passages nor the question hold."""
_LIKELY = 0.3


@dataclass(frozen=True)
class PassageSentences:
    """A request's passages cut into sentences, S in all."""

    titles: tuple[str, ...]
    texts: tuple[str, ...]
    passage: tuple[int, ...]
    """The passage of each sentence."""
    index: tuple[int, ...]
    """Its place in the passage."""


def word_features(question: str, passages: PassageSentences, similarities: Matrix) -> tuple[list[str], Matrix]:
    """The content words of passages, titles and question, W in all, and WORD_FEATURES: float64 [W, features].

    `similarities` is that of each passage sentence to the question: float64 [S].
    """
    rank = np.empty(len(similarities))
    rank[np.argsort(-similarities, kind="stable")] = np.arange(len(similarities)) / max(1, len(similarities))
    asked = content_words(question)
    titles = [content_words(title) for title in passages.titles]
    where: dict[str, list[int]] = {}
    for i, text in enumerate(passages.texts):
        for word in sorted(content_words(text)):
            where.setdefault(word, []).append(i)
    for word in sorted(asked.union(*titles)):
        where.setdefault(word, [])
    capitalised = {word for text in passages.texts for word in capitalised_of(text)}
    rows = []
    for word, found in where.items():
        similar = similarities[found]
        rows.append(
            [
                similar.max(initial=0.0), similar.mean() if found else 0.0, rank[found].min(initial=1.0),
                np.log1p(len(found)), len({passages.passage[i] for i in found}),
                min((passages.index[i] for i in found), default=10), any(passages.passage[i] == 0 for i in found),
                any(passages.index[i] == 0 for i in found), word in asked, any(word in t for t in titles),
                bool(titles) and word in titles[0], bool(numbers_of([word])), word in capitalised, not found,
                min(len(word), 20),
            ]
        )  # fmt: skip
    return list(where), np.asarray(rows, dtype=np.float64).reshape(-1, len(WORD_FEATURES))


def content_features(response: str, expected: dict[str, float]) -> list[float]:
    """CONTENT_FEATURES of a response, from the probability of each word to stand in a good answer."""
    held: Sequence[float] = [expected.get(word, _ELSEWHERE) for word in sorted(content_words(response))]
    total = sum(held)
    return [
        total,
        total / max(1.0, sum(expected.values())),
        float(np.log(total + 0.1)),
        total / max(1, len(held)),
        sum(p for p in held if p > _LIKELY),
    ]
