"""The toxicity scorer: the probability that people find a text toxic, in about two milliseconds.

A ridge regression on TF-IDF gives every n-gram a weight, another one every word piece, and a logistic head combines
what these say: their sums, the worst words and pieces, and the length. Toxicity is a matter of the worst words, which a
sum alone dilutes in a long text.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from rewards.dataset import PACKAGE, file_digest
from rewards.errors import FgctlError
from rewards.heads.linear import LinearHead
from rewards.heads.stored_json import content_version, write_in_one_step
from rewards.models.purpose import REWARD, Purpose
from rewards.toxicity.grams import BUCKETS, counts, weighted_rows
from rewards.toxicity.pieces import PIECES, Ids, piece_features, piece_ids

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Matrix = NDArray[np.float64]

FITTED_TOXICITY = PACKAGE / "fitted" / "toxicity.json"
FEATURES = (
    "sum", "worst_word", "second_word", "third_word", "worst_characters", "mild_words", "length",
    "pieces", "worst_piece", "second_piece", "third_piece",
)  # fmt: skip
_OF_GRAMS = 7
LONGEST = 20_000
"""Characters of a text that are read, some ten pages."""
_WORST_CHARACTERS = 10


class Parts(NamedTuple):
    """What is learned but for the head."""

    frequencies: Matrix
    """Inverse document frequencies of n-grams, float64 [2 BUCKETS]."""
    weights: Matrix
    """Weights of n-grams, float64 [2 BUCKETS]."""
    pieces: Matrix
    """Weights of word pieces, float64 [PIECES]."""


class FittedToxicity(BaseModel):
    """`toxicity.json`: the head of the scorer, its data, and how well it agrees with Perspective and with people."""

    model_config = ConfigDict(frozen=True)

    version: str
    """The content version of weights and head: 12 hexadecimal digits."""
    purpose: Purpose = REWARD
    head: LinearHead
    data: dict[str, str]
    """Name and SHA-256 of the rated texts."""
    texts: int
    """Texts that it was fitted on."""
    agreement: dict[str, Any]
    """On the held-out prompts (rewards.toxicity.evaluation)."""


class ToxicityModel:
    """Scores texts."""

    purpose: Purpose = REWARD

    def __init__(self, parts: Parts, fitted: FittedToxicity) -> None:
        self._parts, self.fitted = parts, fitted

    @classmethod
    def load(cls, path: Path | None = None) -> "ToxicityModel":
        """Load a fitted scorer, by default the shipped one.

        Raises FgctlError when it is missing or damaged, or when its weights are not those it was fitted with.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        path = path or FITTED_TOXICITY
        try:
            fitted = FittedToxicity.model_validate_json(path.read_bytes())
            stored = load_file(weights_path(path))
            parts = Parts(*(stored[name].astype(np.float64) for name in Parts._fields))
            version = model_version(weights_path(path), fitted.head)
        except (OSError, KeyError, ValidationError, SafetensorError) as error:
            raise FgctlError(f"The toxicity scorer {path} cannot be loaded ({error}); restore or refit it.") from None
        if version != fitted.version or [len(part) for part in parts] != [2 * BUCKETS, 2 * BUCKETS, PIECES]:
            raise FgctlError(f"{weights_path(path)} was changed after it was fitted; restore it.")
        return cls(parts, fitted)

    @property
    def version(self) -> str:
        """12 hexadecimal digits that identify weights and head."""
        return self.fitted.version

    @property
    def digest(self) -> str:
        """SHA-256 of what it was fitted to, with the version of its weights."""
        return hashlib.sha256(self.fitted.model_dump_json().encode()).hexdigest()

    def score(self, texts: Sequence[str]) -> list[float]:
        """The probability that people find each text toxic; 0 for a text without a visible character.

        Of a text, the first LONGEST characters are read.
        """
        visible = [i for i, text in enumerate(texts) if text.strip()]
        scores = [0.0] * len(texts)
        if visible:
            read = [texts[i][:LONGEST] for i in visible]
            rows = weighted_rows(counts(read), self._parts.frequencies)
            x = features(rows, piece_ids(read), self._parts)
            for i, probability in zip(visible, self.fitted.head.probabilities(x).tolist(), strict=True):
                scores[i] = probability
        return scores


def features(rows: "csr_matrix", ids: Sequence[Ids], parts: Parts) -> Matrix:
    """What the head reads of each text, from its n-grams and pieces and their weights: float64 [N, FEATURES]."""
    x, weights = np.zeros((rows.shape[0], len(FEATURES))), parts.weights
    x[:, 0], x[:, _OF_GRAMS:] = rows @ weights, piece_features(ids, parts.pieces)
    for i in range(rows.shape[0]):
        present = rows.indices[rows.indptr[i] : rows.indptr[i + 1]]
        words = np.sort(weights[present[present < BUCKETS]])[::-1]
        characters = np.sort(weights[present[present >= BUCKETS]])[::-1]
        x[i, 1 : 1 + len(words[:3])] = words[:3]
        x[i, 4:_OF_GRAMS] = characters[:_WORST_CHARACTERS].sum(), np.minimum(words, 0).sum(), np.log1p(len(present))
    return x


def save_model(path: Path, parts: Parts, head: LinearHead, **fields: Any) -> FittedToxicity:
    """Write the weights, in float16, and then the JSON file beside them, each in one step; returns what was written."""
    from safetensors.numpy import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    file = weights_path(path)
    scratch = file.with_suffix(".new")
    save_file({name: part.astype(np.float16) for name, part in parts._asdict().items()}, scratch)
    scratch.replace(file)
    fitted = FittedToxicity(version=model_version(file, head), head=head, **fields)
    write_in_one_step(path, fitted.model_dump_json(indent=1) + "\n")
    return fitted


def weights_path(path: Path) -> Path:
    """The weights beside a scorer's JSON file."""
    return path.with_suffix(".safetensors")


def model_version(weights: Path, head: LinearHead) -> str:
    """The version of the weights' file and the head."""
    return content_version([file_digest(weights), head.model_dump(mode="json")])
