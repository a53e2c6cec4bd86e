"""Hashed word and character n-grams of texts: no vocabulary, so no list of toxic words, has to be stored."""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rewards.toxicity.normalise import normalise

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import HashingVectorizer

Matrix = NDArray[np.float64]

BUCKETS = 2**18
"""Buckets of each of the two blocks: words first, then characters."""
_LEAST_TEXTS = (2, 3)
"""In how many texts a word and a character n-gram must occur to count."""


def counts(texts: Sequence[str]) -> "csr_matrix":
    """`1 + log(count)` of the words and pairs of words, and of the characters' 2- to 5-grams: [N, 2 BUCKETS]."""
    from scipy.sparse import hstack

    plain = [normalise(text) for text in texts]
    counted = hstack([vectorizer.transform(plain) for vectorizer in _vectorizers()]).tocsr()
    counted.data = 1 + np.log(counted.data)
    return counted


@cache
def _vectorizers() -> "tuple[HashingVectorizer, HashingVectorizer]":
    from sklearn.feature_extraction.text import HashingVectorizer

    shared = {"n_features": BUCKETS, "alternate_sign": False, "norm": None, "lowercase": False}
    return (
        HashingVectorizer(ngram_range=(1, 2), token_pattern=r"[\w'*]+", **shared),  # noqa: S106 - a pattern
        HashingVectorizer(analyzer="char_wb", ngram_range=(2, 5), **shared),
    )


def inverse_frequencies(counted: "csr_matrix") -> Matrix:
    """Smoothed inverse document frequency of each bucket, 0 for what is too rare: float64 [2 BUCKETS]."""
    texts = np.bincount(counted.indices, minlength=counted.shape[1])
    least = np.repeat(_LEAST_TEXTS, BUCKETS)
    return np.where(texts >= least, np.log((1 + counted.shape[0]) / (1 + texts)) + 1, 0.0)


def weighted_rows(counted: "csr_matrix", frequencies: Matrix) -> "csr_matrix":
    """Each text's TF-IDF of words and of characters, each of length one: [N, 2 BUCKETS]."""
    from scipy.sparse import diags, hstack
    from sklearn.preprocessing import normalize

    rows = (counted @ diags(frequencies)).tocsr()
    blocks = [normalize(block) for block in (rows[:, :BUCKETS], rows[:, BUCKETS:])]
    joined = hstack(blocks).tocsr()
    joined.eliminate_zeros()
    return joined
