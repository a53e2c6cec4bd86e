"""Evaluations with made-up figures."""

import pytest

from trainer.validation.evaluation import Evaluation, ReferenceFigures


@pytest.fixture
def evaluation():
    """Makes an evaluation whose values by question all equal its figures, unless others are named."""

    def make(step, reward=0.0, judge=0.0, copied=0.2, **fields):
        figures = {
            "step": step, "episodes": 48 * step, "reward": reward, "judge": judge, "copied": copied, "longest": 9.0,
            "words": 50.0, "tokens": 70.0, "truncated": 0.1, "repetition": 0.05, "clean_rate": {"relevance": 0.5},
            "completeness": 0.0, "rewards": (reward,) * 8, "judges": (judge,) * 8,
        }  # fmt: skip
        return Evaluation(**figures | fields)

    return make


@pytest.fixture
def references():
    return ReferenceFigures(reward=0.4, judge=0.5, copied=0.2, longest=12.0, words=60.0)
