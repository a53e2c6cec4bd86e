import numpy as np
import pytest

from rewards.errors import FgctlError
from rewards.quality.recalibration import MIN_ANSWERS, evaluate_recalibration, fit_recalibration
from rewards.statistics.agreement_with_people import calibration_error, roc_auc


def test_slope_and_shift_are_recovered(judged_segments):
    segments = judged_segments(answers=2000)
    fitted = fit_recalibration(segments.logits, segments.errors)
    assert fitted.slope == pytest.approx(0.5, abs=0.05)
    assert fitted.shift == pytest.approx(-1.0, abs=0.15)


def test_fifty_labelled_answers_calibrate_the_others(judged_segments):
    segments = judged_segments(answers=1000)
    first = segments.answer < 50
    fitted, rest = fit_recalibration(segments.logits[first], segments.errors[first]), segments.of(~first)
    after = fitted.probabilities(rest.logits)
    assert calibration_error(rest.probabilities, rest.errors) > 0.12
    assert calibration_error(after, rest.errors) < 0.06
    assert roc_auc(rest.errors, after) == roc_auc(rest.errors, rest.probabilities)


def test_a_ranking_is_never_turned_around(judged_segments):
    segments = judged_segments()
    assert fit_recalibration(-segments.logits, segments.errors).slope > 0


@pytest.mark.parametrize("error", [False, True], ids=["none", "all"])
def test_labels_that_are_all_the_same_give_a_rate_near_them(error):
    fitted = fit_recalibration(np.linspace(-1, 1, 50), np.full(50, error))
    assert np.abs(fitted.probabilities(np.linspace(-1, 1, 50)) - error).max() < 0.02


def test_the_errors_are_measured_on_held_out_answers(judged_segments):
    figures = evaluate_recalibration(judged_segments(), "labels")
    assert figures.better
    assert figures.after < 0.1 < figures.before
    assert (figures.answers, figures.segments) == (300, 900)
    assert 0.1 < figures.operating.threshold < 0.7


def test_a_model_that_is_calibrated_is_left_alone(judged_segments):
    """Where labels are few and the model is right, the new calibration is worse on held-out answers."""
    worse = [
        not evaluate_recalibration(judged_segments(answers=30, shift=0, slope=1, seed=seed), "").better
        for seed in range(10)
    ]
    assert sum(worse) >= 3


def test_too_few_answers_are_refused(judged_segments):
    with pytest.raises(FgctlError, match=f"at least {MIN_ANSWERS}"):
        evaluate_recalibration(judged_segments(answers=MIN_ANSWERS - 1), "labels.jsonl")
