"""A second opinion on toxicity, of another family: what `alt-profanity-check` 1.9 bundles, converted once.

Five linear support-vector machines with sigmoid calibration on TF-IDF of words, fitted by its authors on other data
(the comments of Davidson et al. 2017 and of Kaggle's toxic comment challenge; MIT licence). It is a judge: nothing is
trained on it. Words are stored as hashes, and no pickle is read. docs/detox.md tells how to convert it again.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rewards.dataset import PACKAGE, file_digest
from rewards.errors import FgctlError
from rewards.models.purpose import JUDGE, Purpose

Matrix = NDArray[np.float64]

FITTED_SECOND_OPINION = PACKAGE / "fitted" / "toxicity_judge.safetensors"
_WORD = re.compile(r"(?u)\b\w\w+\b")


class SecondOpinion:
    """Scores texts, in evaluation alone."""

    purpose: Purpose = JUDGE

    def __init__(self, tensors: Mapping[str, Any], version: str) -> None:
        """`tensors` as `convert` makes them."""
        self.version = version
        self._rows = {word: row for row, word in enumerate(tensors["words"].tolist())}
        self._frequencies = tensors["frequencies"].astype(np.float64)
        self._weights = tensors["weights"].astype(np.float64)
        self._intercepts, self._slopes, self._shifts = (
            tensors[name].astype(np.float64) for name in ("intercepts", "slopes", "shifts")
        )

    @classmethod
    def load(cls, path: Path = FITTED_SECOND_OPINION) -> "SecondOpinion":
        """Raises FgctlError when the file is missing or damaged."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            return cls(load_file(path), file_digest(path)[:12])
        except (OSError, KeyError, SafetensorError) as error:
            raise FgctlError(f"The second opinion {path} cannot be loaded ({error}); restore it.") from None

    def score(self, texts: Sequence[str]) -> list[float]:
        """The probability that each text is offensive."""
        return [float(np.mean(self._probabilities(text))) for text in texts]

    def _probabilities(self, text: str) -> Matrix:
        counted = Counter(word for word in map(word_hash, _WORD.findall(text.lower())) if word in self._rows)
        rows = [self._rows[word] for word in counted]
        values = np.array(list(counted.values()), dtype=np.float64) * self._frequencies[rows]
        values /= max(float(np.linalg.norm(values)), 1e-12)
        margins = values @ self._weights[rows] + self._intercepts
        return np.asarray(1 / (1 + np.exp(self._slopes * margins + self._shifts)))


def word_hash(word: str) -> int:
    """The stored name of a word: 63 bits of its BLAKE2."""
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest()) >> 1


def convert(vectorizer: Any, classifier: Any) -> dict[str, Any]:
    """The tensors of sklearn's TfidfVectorizer of words, and of a CalibratedClassifierCV of linear classifiers.

    `words` int64 [V], `frequencies` float32 [V], `weights` float32 [V, K], and for the K members `intercepts`, and
    `slopes` and `shifts` of the sigmoid `1 / (1 + exp(slope * margin + shift))`, float32 [K].
    """
    members = classifier.calibrated_classifiers_
    order = sorted(vectorizer.vocabulary_, key=vectorizer.vocabulary_.__getitem__)
    return {
        "words": np.array([word_hash(word) for word in order], dtype=np.int64),
        "frequencies": vectorizer.idf_.astype(np.float32),
        "weights": np.stack([member.estimator.coef_[0] for member in members], axis=1).astype(np.float32),
        "intercepts": np.array([member.estimator.intercept_[0] for member in members], dtype=np.float32),
        "slopes": np.array([member.calibrators[0].a_ for member in members], dtype=np.float32),
        "shifts": np.array([member.calibrators[0].b_ for member in members], dtype=np.float32),
    }
