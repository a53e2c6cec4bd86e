"""Word pieces. Content note: mild insults, to be recognised."""

import numpy as np
import pytest

from rewards.toxicity.pieces import PIECES, fit_piece_weights, piece_features, piece_ids, piece_vectors, pooled_vectors

TEXTS = ["You idiot", "You 1d10t", "A river", ""]


def test_disguises_have_the_pieces_of_the_word_and_an_empty_text_has_none():
    plain, disguised, other, empty = piece_ids(TEXTS)
    assert plain.tolist() == disguised.tolist() != other.tolist()
    assert len(empty) == 0


def test_long_texts_are_read_to_their_end():
    (ids,) = piece_ids(["river " * 700])
    assert len(ids) == 700


def test_pooled_vectors_are_sums_over_the_root_of_the_number():
    vectors = np.array([[1.0, 0.0], [3.0, 2.0]])
    pooled = pooled_vectors([np.array([0, 1, 1, 0]), np.array([], dtype=np.int64)], vectors)
    assert pooled.tolist() == [[4.0, 2.0], [0.0, 0.0]]


def test_features_are_the_sum_and_the_largest_weights():
    weights = np.array([-1.0, 0.5, 2.0])
    long, short = piece_features([np.array([0, 1, 2, 2]), np.array([1])], weights)
    assert long == pytest.approx([3.5 / 2, 2.0, 2.0, 0.5])
    assert short == pytest.approx([0.5, 0.5, -1.0, -1.0])


def test_a_weight_generalises_to_pieces_whose_vectors_lie_near():
    vectors = piece_vectors()
    ids = piece_ids(["idiot", "river", "morning", "stupid"])
    weights = fit_piece_weights(pooled_vectors(ids, vectors), np.array([1.0, -1.0, -1.0, 1.0]), vectors)
    fool, lake = (ids.tolist() for ids in piece_ids(["fool", "lake"]))
    assert weights.shape == (PIECES,)
    assert weights[fool].mean() > weights[lake].mean()
