"""Word pieces of texts, and a weight for each that the sentence encoder's table of piece vectors generalises.

A rare insult is in few of the rated texts, but its vector lies near those of frequent ones. The weights are linear in
the vectors, so that a fitted scorer needs the encoder's tokenizer and no pass through the encoder.
"""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rewards.features.encoder import model_directory
from rewards.toxicity.normalise import normalise

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Matrix = NDArray[np.float64]
Ids = NDArray[np.int64]

PIECES = 30522
"""Pieces of the encoder's vocabulary."""
WORST = 3
"""How many of the worst pieces of a text are features."""
_RIDGE = 300.0


def piece_ids(texts: Sequence[str]) -> list[Ids]:
    """The ids of each text's word pieces, after its disguises are undone."""
    encoded = _tokenizer().encode_batch([normalise(text) for text in texts], add_special_tokens=False)
    return [np.array(text.ids, dtype=np.int64) for text in encoded]


@cache
def _tokenizer() -> "Tokenizer":
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(model_directory() / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def pooled_vectors(ids: Sequence[Ids], vectors: Matrix) -> Matrix:
    """Each text's sum of piece vectors, divided by the root of their number: float64 [N, dimensions]."""
    return np.stack([vectors[of].sum(0) / np.sqrt(max(len(of), 1)) for of in ids])


def piece_vectors() -> Matrix:
    """The encoder's vectors of pieces, centred and of variance one over all: float64 [PIECES, dimensions]."""
    from safetensors.numpy import load_file

    vectors = load_file(model_directory() / "model.safetensors")["embeddings.word_embeddings.weight"]
    centred = vectors.astype(np.float64) - vectors.mean(0)
    return np.asarray(centred / centred.std())


def fit_piece_weights(pooled: Matrix, targets: Matrix, vectors: Matrix) -> Matrix:
    """A weight for each piece, float64 [PIECES], by ridge regression of `targets` [N] on pooled vectors."""
    gram = pooled.T @ pooled + _RIDGE * np.eye(pooled.shape[1])
    return np.asarray(vectors @ np.linalg.solve(gram, pooled.T @ (targets - targets.mean())))


def piece_features(ids: Sequence[Ids], weights: Matrix) -> Matrix:
    """Of each text the summed weight over the root of the number of pieces, and the largest ones: [N, 1 + WORST].

    What is missing in a text of fewer pieces counts as the smallest weight of all.
    """
    x = np.full((len(ids), 1 + WORST), weights.min())
    for row, of in zip(x, ids, strict=True):
        own = np.sort(weights[of])[::-1]
        row[0] = own.sum() / np.sqrt(max(len(own), 1))
        row[1 : 1 + len(own[:WORST])] = own[:WORST]
    return x
