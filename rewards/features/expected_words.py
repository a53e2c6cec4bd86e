"""Which of the passages' words a good answer probably contains, and how many of them a response has.

Completeness is how much of the corrected response's content a response covers
(rewards.fitting.segment_labels.covered_content). There is no corrected response at scoring time, but how likely it is
to contain each word can be learnt from questions with reference answers, which are far more numerous than annotated
responses.
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
"""Probability of a word that is in neither the passages nor the question."""
_LIKELY = 0.3
"""The probability above which a word counts as likely content."""


@dataclass(frozen=True)
class PassageSentences:
    """A request's passages cut into S sentences."""

    titles: tuple[str, ...]
    texts: tuple[str, ...]
    passage: tuple[int, ...]
    """Index of each sentence's passage."""
    index: tuple[int, ...]
    """Index of each sentence in its passage."""


def word_features(question: str, passages: PassageSentences, similarities: Matrix) -> tuple[list[str], Matrix]:
    """The W content words of passages, titles and question, and their WORD_FEATURES: float64 [W, features].

    `similarities` are those of the passage sentences to the question: float64 [S].
    """
    rank = np.empty(len(similarities))
    rank[np.argsort(-similarities, kind="stable")] = np.arange(len(similarities)) / max(1, len(similarities))
    question_words = content_words(question)
    titles = [content_words(title) for title in passages.titles]
    sentences: dict[str, list[int]] = {}
    for i, text in enumerate(passages.texts):
        for word in sorted(content_words(text)):
            sentences.setdefault(word, []).append(i)
    for word in sorted(question_words.union(*titles)):
        sentences.setdefault(word, [])
    capitalised = {word for text in passages.texts for word in capitalised_of(text)}
    rows = []
    for word, indices in sentences.items():
        similar = similarities[indices]
        rows.append(
            [
                similar.max(initial=0.0), similar.mean() if indices else 0.0, rank[indices].min(initial=1.0),
                np.log1p(len(indices)), len({passages.passage[i] for i in indices}),
                min((passages.index[i] for i in indices), default=10), any(passages.passage[i] == 0 for i in indices),
                any(passages.index[i] == 0 for i in indices), word in question_words, any(word in t for t in titles),
                bool(titles) and word in titles[0], bool(numbers_of([word])), word in capitalised, not indices,
                min(len(word), 20),
            ]
        )  # fmt: skip
    return list(sentences), np.asarray(rows, dtype=np.float64).reshape(-1, len(WORD_FEATURES))


def content_features(response: str, expected: dict[str, float]) -> list[float]:
    """CONTENT_FEATURES of a response, from how likely a good answer is to contain each word."""
    probabilities: Sequence[float] = [expected.get(word, _ELSEWHERE) for word in sorted(content_words(response))]
    total = sum(probabilities)
    return [
        total,
        total / max(1.0, sum(expected.values())),
        float(np.log(total + 0.1)),
        total / max(1, len(probabilities)),
        sum(p for p in probabilities if p > _LIKELY),
    ]
