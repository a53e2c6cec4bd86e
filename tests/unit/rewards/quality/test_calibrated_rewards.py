import numpy as np
import pytest

from rewards.errors import FgctlError
from rewards.features.extractor import SEGMENT_FEATURES
from rewards.models.feedback_rewards import FITTED_REWARDS, load_rewards, save_rewards
from rewards.quality.calibrated_rewards import evaluate_categories, recalibrated


@pytest.fixture(scope="module")
def fitted():
    return load_rewards(FITTED_REWARDS)[0]


def test_a_calibrated_version_loads_ranks_alike_and_names_its_parent(fitted, judged_segments, tmp_path):
    evaluated = evaluate_categories({"factuality": judged_segments()}, "labels.jsonl")
    new = recalibrated(fitted, evaluated, {"labels.jsonl": "digest"})
    save_rewards(tmp_path / "mine.json", new)
    loaded = load_rewards(tmp_path / "mine.json")[0]
    assert loaded.version == new.version != fitted.version
    assert loaded.calibrated.parent == fitted.version
    assert loaded.calibrated.categories["factuality"].taken
    assert loaded.heads.relevance == fitted.heads.relevance
    x = np.random.default_rng(0).normal(size=(50, len(SEGMENT_FEATURES)))
    before, after = fitted.heads.factuality.logits(x), loaded.heads.factuality.logits(x)
    figures = evaluated["factuality"]
    assert after == pytest.approx(figures.recalibration.slope * before + figures.recalibration.shift, abs=1e-5)
    assert loaded.heads.factuality.operating.errors == figures.operating.errors


def test_a_calibration_that_would_be_worse_is_refused(judged_segments):
    seeds = range(20)
    calibrated = (judged_segments(answers=30, shift=0, slope=1, seed=seed) for seed in seeds)
    refused = 0
    for segments in calibrated:
        try:
            evaluate_categories({"factuality": segments}, "labels.jsonl")
        except FgctlError as error:
            assert "nothing was written" in str(error)  # noqa: PT017
            refused += 1
    assert refused


def test_too_few_labels_are_refused(judged_segments):
    with pytest.raises(FgctlError, match="has 5 labelled answers"):
        evaluate_categories({"factuality": judged_segments(answers=5)}, "labels.jsonl")


def test_a_category_that_would_be_worse_stays_as_it_is(fitted, judged_segments):
    for seed in range(20):
        categories = {
            "factuality": judged_segments(), "relevance": judged_segments(answers=30, shift=0, slope=1, seed=seed)
        }  # fmt: skip
        evaluated = evaluate_categories(categories, "")
        if not evaluated["relevance"].better:
            new = recalibrated(fitted, evaluated, {})
            assert new.heads.relevance == fitted.heads.relevance
            assert not new.calibrated.categories["relevance"].taken
            return
    raise AssertionError("no seed makes it worse")
