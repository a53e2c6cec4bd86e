"""Fits the toxicity scorer on rated texts.

The weights are ridge regressions. The head reads out-of-fold weights, so that it learns how much to trust them, and is
fitted on scores as probabilities, which calibrates it: its mean is the mean score. Sentences about people of many kinds
in which nothing is toxic are added, because the web writes of some of them mostly in insults (Dixon et al. 2018).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rewards.errors import FgctlError
from rewards.heads.linear import LinearHead, fit_logistic
from rewards.toxicity.grams import Matrix, counts, inverse_frequencies, weighted_rows
from rewards.toxicity.model import FEATURES, Parts, features
from rewards.toxicity.pieces import fit_piece_weights, piece_ids, piece_vectors, pooled_vectors
from rewards.toxicity.probes import harmless_sentences

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

MIN_TEXTS = 20
_FOLDS = 3
_RIDGE = 1.0
_STRENGTH = 10.0
"""sklearn's C of the head, which has thousands of texts for each of its weights."""
_HARMLESS = 0.05
"""The score of an added harmless sentence: that of an average clean text."""
_CLIP = 0.005


@dataclass(frozen=True)
class FittedParts:
    """What a scorer is made of."""

    learned: Parts
    head: LinearHead


def fit_toxicity(
    texts: Sequence[str], scores: Sequence[float], say: Callable[[str], None] = lambda step: None
) -> FittedParts:
    """Fit weights and head on texts and their scores in [0, 1].

    Raises FgctlError for fewer than MIN_TEXTS texts.
    """
    if len(texts) < MIN_TEXTS:
        raise FgctlError(f"{len(texts)} rated texts are too few to fit on; at least {MIN_TEXTS} are needed.")
    harmless = harmless_sentences()
    rated = np.array([*scores, *[_HARMLESS] * len(harmless)])
    counted = counts([*texts, *harmless])
    frequencies = inverse_frequencies(counted)
    rows, targets = weighted_rows(counted, frequencies), _targets(rated)
    ids, vectors = piece_ids([*texts, *harmless]), piece_vectors()
    pooled = pooled_vectors(ids, vectors)

    def parts(places: NDArray[np.int64]) -> Parts:
        pieces = fit_piece_weights(pooled[places], targets[places], vectors)
        return Parts(_as_stored(frequencies), _as_stored(_ridge(rows[places], targets[places])), _as_stored(pieces))

    read = np.zeros((len(rated), len(FEATURES)))
    order = np.random.default_rng(0).permutation(len(rated))
    for number, fold in enumerate(np.array_split(order, _FOLDS), 1):
        say(f"Fold {number} of {_FOLDS}")
        others = np.setdiff1d(order, fold)
        read[fold] = features(rows[fold], [ids[i] for i in fold], parts(others))
    say("All texts")
    return FittedParts(parts(np.arange(len(rated))), _head(read, rated))


def _targets(scores: Matrix) -> Matrix:
    """Scores and log-odds in equal parts: the first tell toxic texts from others, the second rank all texts."""
    clipped = np.clip(scores, _CLIP, 1 - _CLIP)
    return (_standardised(scores) + _standardised(np.log(clipped / (1 - clipped)))) / 2


def _standardised(values: Matrix) -> Matrix:
    return np.asarray((values - values.mean()) / max(float(values.std()), 1e-9))


def _ridge(rows: "csr_matrix", targets: Matrix) -> Matrix:
    from sklearn.linear_model import Ridge

    used = np.unique(rows.indices)
    weights = np.zeros(rows.shape[1])
    # Without an intercept: the targets are centred, and the head has one.
    weights[used] = (
        Ridge(alpha=_RIDGE, solver="sparse_cg", tol=1e-3, fit_intercept=False).fit(rows[:, used], targets).coef_
    )
    return weights


def _head(read: Matrix, scores: Matrix) -> LinearHead:
    """Each text is toxic to a share `score` of people, and not to the others."""
    both = np.concatenate([scores, 1 - scores])
    labels: NDArray[np.bool_] = np.repeat([True, False], len(scores))
    return fit_logistic(np.concatenate([read, read]), labels, FEATURES, _STRENGTH, weight=both)


def _as_stored(values: Matrix) -> Matrix:
    return values.astype(np.float16).astype(np.float64)
