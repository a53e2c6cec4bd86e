import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rewards.errors import FgctlError
from trainer.kl import KlController, kl_estimates
from trainer.recipe import KlRecipe, StopRecipe
from trainer.tracking.stability import diverged, early_warnings, require_finite

CALM = {
    "kl/response": 3.0, "entropy": 1.0, "reward/within_prompt": 0.5, "reward/spread": 0.6, "length/tokens": 100.0,
    "length/truncated": 0.1, "text/repetition": 0.05, "relevance/length_correlation": 0.1,
    "completeness/length_correlation": 0.8, "agreement/relevance-completeness": 0.0, "policy/skipped": 0.0,
}  # fmt: skip


def run(steps=20, **last):
    """A calm run whose last five steps differ in some metrics."""
    changed = {name.replace("__", "/").replace("_and_", "-"): value for name, value in last.items()}
    return [CALM] * (steps - 5) + [CALM | changed] * 5


def test_both_estimates_of_the_kl_by_hand():
    k1, k3 = kl_estimates(torch.log(torch.tensor([0.5, 0.2])), torch.log(torch.tensor([0.25, 0.4])))
    assert k1.tolist() == pytest.approx([math.log(2), -math.log(2)])
    assert k3.tolist() == pytest.approx([0.5 - 1 + math.log(2), 2 - 1 - math.log(2)])


def test_both_estimates_have_the_divergence_as_their_mean():
    p, q = torch.tensor([0.7, 0.2, 0.1]), torch.tensor([0.3, 0.3, 0.4])
    exact = (p * (p / q).log()).sum().item()
    for estimate in kl_estimates(p.log(), q.log()):
        assert (p * estimate).sum().item() == pytest.approx(exact)


def test_a_fixed_coefficient_stays_and_an_adaptive_one_answers():
    fixed = KlController(KlRecipe(coefficient=0.1))
    fixed.update(1000, 64)
    assert fixed.coefficient == 0.1
    steered = KlController(KlRecipe(coefficient=0.1, target=4, horizon=640))
    steered.update(4, 64)
    assert steered.coefficient == pytest.approx(0.1)
    steered.update(4.4, 64)
    assert steered.coefficient == pytest.approx(0.1 * (1 + 0.1 * 0.1))
    steered.update(1e9, 64)  # however far off, by a fifth of 64 / 640 at most
    assert steered.coefficient == pytest.approx(0.101 * 1.02)
    steered.update(0, 64)
    assert steered.coefficient == pytest.approx(0.101 * 1.02 * 0.98)
    again = KlController(KlRecipe(target=4))
    again.restore(steered.state())
    assert again.coefficient == steered.coefficient


def test_a_step_of_more_episodes_than_the_horizon_counts_as_one_horizon():
    controller = KlController(KlRecipe(coefficient=0.05, target=1, horizon=9))
    controller.update(0, 48)
    assert controller.coefficient == pytest.approx(0.05 * 0.8)
    controller.update(5, 48)
    assert controller.coefficient == pytest.approx(0.05 * 0.8 * 1.2)


@given(st.lists(st.tuples(st.floats(), st.integers(0, 10_000)), max_size=30), st.integers(1, 10_000))
def test_an_adaptive_coefficient_stays_positive_and_finite(steps, horizon):
    controller = KlController(KlRecipe(coefficient=0.05, target=4, horizon=horizon))
    for kl, episodes in steps:
        before = controller.coefficient
        controller.update(kl, episodes)
        assert 0 < controller.coefficient < math.inf
        assert not math.isnan(kl) or controller.coefficient == before


def test_values_that_are_not_finite_end_a_run():
    require_finite("The loss is", torch.ones(2))
    for value in (math.nan, math.inf, -math.inf):
        with pytest.raises(FgctlError, match="The loss is not finite, so the run stops and stores no policy; check"):
            require_finite("The loss is", torch.tensor([1.0, value]))


@pytest.mark.parametrize(
    ("last", "message"),
    [
        ({"kl__response": 101.0}, "nats a response"),
        ({"entropy": 0.01}, "entropy"),
        ({"policy__skipped": 1.0}, "finite"),
    ],
)
def test_a_run_that_diverged_says_why(last, message):
    assert diverged(run(), StopRecipe()) is None
    assert message in diverged(run(**last), StopRecipe())


def test_two_skipped_steps_are_not_yet_a_divergence():
    assert diverged([CALM, CALM | {"policy/skipped": 1.0}, CALM | {"policy/skipped": 1.0}], StopRecipe()) is None


@pytest.mark.parametrize(
    ("last", "message"),
    [
        ({"length__tokens": 140.0}, "from 100 to 140 tokens, and completeness follows it"),
        ({"length__tokens": 60.0}, "from 100 to 60 tokens"),
        ({"reward__within_prompt": 0.01}, "earn nearly the same"),
        ({"reward__spread": 1.3}, "twice as much"),
        ({"agreement__relevance_and_completeness": -0.6}, "relevance and completeness disagree"),
        ({"text__repetition": 0.2}, "repetition rose to 0.20"),
        ({"length__truncated": 0.6}, "60% of the responses are cut"),
    ],
)
def test_each_warning_is_a_clause_of_its_own(last, message):
    (sentence,) = early_warnings(run(**last)).values()
    assert message in sentence


def test_a_calm_or_a_short_run_is_silent():
    assert early_warnings(run()) == {}
    assert early_warnings(run(steps=9, text__repetition=0.9)) == {}
