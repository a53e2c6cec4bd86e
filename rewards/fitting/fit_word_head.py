"""Fits the word head on reference answers: which of the passages' words a good answer contains."""

from collections.abc import Sequence

import numpy as np

from rewards.dataset import Example
from rewards.features.encoder import Encoder
from rewards.features.expected_words import WORD_FEATURES, word_features
from rewards.features.extractor import cut_passages
from rewards.features.words import content_words
from rewards.heads.linear import LinearHead, fit_logistic
from rewards.scores import ScoreRequest

_STRENGTH = 1.0
_AT_ONCE = 256
"""Questions encoded in one call."""


def fit_word_head(examples: Sequence[Example], encoder: Encoder) -> LinearHead:
    """Fit the head on WORD_FEATURES that predicts which of the passages' words are in the reference answer."""
    rows, labels = [], []
    for first in range(0, len(examples), _AT_ONCE):
        chunk = examples[first : first + _AT_ONCE]
        cut = [cut_passages(ScoreRequest(e.question, e.passages, "")) for e in chunk]
        unique = list(dict.fromkeys(t for e, p in zip(chunk, cut, strict=True) for t in (e.question, *p.texts)))
        vectors = dict(zip(unique, encoder.encode(unique), strict=True))
        for e, passages in zip(chunk, cut, strict=True):
            question, answer_words = vectors[e.question], content_words(e.answer)
            similarity = np.array([vectors[t] @ question for t in passages.texts], dtype=np.float64)
            words, x = word_features(e.question, passages, similarity)
            rows.append(x)
            labels.append(np.array([word in answer_words for word in words], dtype=bool))
    return fit_logistic(np.concatenate(rows), np.concatenate(labels), WORD_FEATURES, _STRENGTH)
