import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainer.estimators.advantages import centre, gae, leave_one_out, returns_to_go, whiten


def mask_of(*lengths, width=None):
    width = width or max(lengths)
    return torch.tensor([[t < n for t in range(width)] for n in lengths])


def slow_gae(rewards, values, gamma, lam):
    """Equation 16 as it is written: a sum of discounted deltas for each token."""
    n = len(rewards)
    values = [*values, 0.0]
    deltas = [rewards[t] + gamma * values[t + 1] - values[t] for t in range(n)]
    return [sum((gamma * lam) ** k * deltas[t + k] for k in range(n - t)) for t in range(n)]


def test_gae_by_hand():
    rewards = torch.tensor([[0.0, 0.0, 1.0]])
    values = torch.tensor([[0.5, 0.25, 0.5]])
    advantages, returns = gae(rewards, values, mask_of(3), gamma=1.0, lam=0.5)
    # deltas: 0 + .25 - .5 = -.25; 0 + .5 - .25 = .25; 1 + 0 - .5 = .5
    assert advantages.tolist() == [[-0.25 + 0.5 * (0.25 + 0.5 * 0.5), 0.25 + 0.5 * 0.5, 0.5]]
    assert returns.tolist() == (advantages + values).tolist()


@given(st.data(), st.floats(0.5, 1), st.floats(0, 1))
def test_gae_equals_its_definition_and_ignores_padding(data, gamma, lam):
    lengths = data.draw(st.lists(st.integers(0, 6), min_size=1, max_size=4))
    number = st.floats(-5, 5, width=32)
    rows = [([data.draw(number) for _ in range(n)], [data.draw(number) for _ in range(n)]) for n in lengths]
    width = max(lengths) + 2
    rewards = torch.full((len(rows), width), 99.0)
    values = torch.full((len(rows), width), -99.0)
    for i, (r, v) in enumerate(rows):
        rewards[i, : len(r)] = torch.tensor(r)
        values[i, : len(v)] = torch.tensor(v)
    mask = mask_of(*lengths, width=width)
    advantages, returns = gae(rewards, values, mask, gamma=gamma, lam=lam)
    for i, (r, v) in enumerate(rows):
        assert advantages[i, : len(r)].tolist() == pytest.approx(slow_gae(r, v, gamma, lam), abs=1e-3)
    assert not advantages[~mask].any()
    assert not returns[~mask].any()


def test_whitening_by_hand():
    x = torch.tensor([[1.0, 3.0, 7.0]])
    assert whiten(x, mask_of(2, width=3)).tolist() == [[-1.0, 1.0, 0.0]]


@given(st.lists(st.floats(-100, 100, width=32), min_size=2, max_size=20), st.integers(0, 4))
def test_whitened_entries_have_mean_zero_and_variance_one(numbers, padding):
    x = torch.tensor([numbers + [1e6] * padding])
    mask = mask_of(len(numbers), width=len(numbers) + padding)
    white = whiten(x, mask)
    assert not white[~mask].any()
    kept = white[mask]
    assert kept.mean().abs() < 1e-3
    if x[mask].var(unbiased=False) > 1e-3:
        assert kept.var(unbiased=False) == pytest.approx(1, abs=1e-2)


def test_constant_or_no_entries_become_zero():
    assert not whiten(torch.full((2, 3), 5.0), mask_of(3, 1)).any()
    assert not whiten(torch.ones(2, 3), torch.zeros(2, 3, dtype=torch.bool)).any()


def test_centring_takes_each_prompts_mean_away():
    advantages = torch.tensor([[1.0, 3.0], [5.0, 9.0], [7.0, 9.0]])
    mask = torch.tensor([[True, True], [True, False], [True, True]])
    centred = centre(advantages, mask, torch.tensor([0, 0, 1]))
    assert centred.tolist() == [[-2.0, 0.0], [2.0, 0.0], [-1.0, 1.0]]


def test_centring_an_empty_response_is_harmless():
    assert not centre(torch.ones(1, 2), torch.zeros(1, 2, dtype=torch.bool), torch.tensor([0])).any()


def test_returns_to_go_by_hand():
    rewards = torch.tensor([[1.0, 2.0, 4.0, 99.0]])
    assert returns_to_go(rewards, mask_of(3, width=4), gamma=0.5).tolist() == [[3.0, 4.0, 4.0, 0.0]]


def test_the_baseline_is_the_mean_of_the_prompts_other_responses_at_the_same_token():
    values = torch.tensor([[6.0, 4.0, 2.0], [3.0, 1.0, 9.0], [9.0, 9.0, 9.0]])
    mask = mask_of(3, 2, 1)
    compared = leave_one_out(values, mask, torch.tensor([0, 0, 0]))
    # Token 2: the other two have ended and count as zero.
    assert compared.tolist() == [[6 - 6.0, 4 - 0.5, 2 - 0.0], [3 - 7.5, 1 - 2.0, 0], [9 - 4.5, 0, 0]]


def test_prompts_are_not_compared_with_each_other_and_one_alone_keeps_its_values():
    values = torch.tensor([[1.0], [5.0], [3.0]])
    assert leave_one_out(values, mask_of(1, 1, 1), torch.tensor([0, 1, 0])).tolist() == [[-2.0], [5.0], [2.0]]
    none = torch.zeros(0, 2)
    assert leave_one_out(none, none.bool(), torch.zeros(0, dtype=torch.int64)).shape == (0, 2)


def slow_leave_one_out(rewards, prompts, gamma):
    """As a sum over the others, token by token, from lists of unequal length."""

    def earned(row, t):
        return sum(gamma ** (k - t) * r for k, r in enumerate(row) if k >= t)

    out = []
    for i, row in enumerate(rewards):
        others = [r for j, r in enumerate(rewards) if j != i and prompts[j] == prompts[i]]
        out.append([earned(row, t) - sum(earned(o, t) for o in others) / max(1, len(others)) for t in range(len(row))])
    return out


@given(st.data(), st.floats(0.5, 1))
def test_leave_one_out_equals_its_definition(data, gamma):
    number = st.floats(-5, 5, width=32)
    rows = data.draw(st.lists(st.lists(number, max_size=6), min_size=1, max_size=6))
    prompts = [data.draw(st.integers(0, 2)) for _ in rows]
    mask = mask_of(*map(len, rows), width=8)
    rewards = torch.full((len(rows), 8), 50.0)
    for i, row in enumerate(rows):
        rewards[i, : len(row)] = torch.tensor(row)
    got = leave_one_out(returns_to_go(rewards, mask, gamma=gamma), mask, torch.tensor(prompts))
    for i, wanted in enumerate(slow_leave_one_out(rows, prompts, gamma)):
        assert got[i, : len(wanted)].tolist() == pytest.approx(wanted, abs=1e-3)
    assert not got[~mask].any()
