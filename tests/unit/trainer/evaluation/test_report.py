import pytest

from trainer.evaluation.report import rouge_lsum


def test_rouge():
    assert rouge_lsum(["The tower is tall."] * 2, ["The tower is tall.", ""]) == [pytest.approx(100), 0]
