"""Judged segments of a reward model that ranks well, and whose probabilities are wrong."""

import numpy as np
import pytest

from rewards.quality.judged_segments import JudgedSegments


def _segments(answers=300, shift=2.0, slope=0.5, seed=0, skill=1.5):
    """Three segments an answer; the true log-odds are `slope * (logits - shift)`; `skill` spreads them."""
    rng = np.random.default_rng(seed)
    answer = np.repeat(np.arange(answers), 3)
    true = skill * (rng.normal(size=answers)[answer] + rng.normal(size=3 * answers)) - 1
    errors = rng.random(3 * answers) < 1 / (1 + np.exp(-true))
    return JudgedSegments(true / slope + shift, errors, answer, rng.random(3 * answers))


@pytest.fixture
def judged_segments():
    """Makes them."""
    return _segments
