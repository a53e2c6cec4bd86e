"""Grouped LoRA against one token at a time."""

from types import SimpleNamespace

import pytest
import torch

pytest.importorskip("vllm")

from service.cpu_lora import GroupedPunicaWrapper, group_rows

SLOTS, RANK, IN, OUT = 4, 8, 16, (12, 6, 6)


@pytest.fixture
def weights():
    torch.manual_seed(0)
    a = tuple(torch.randn(SLOTS, 1, RANK, IN) for _ in OUT)
    b = tuple(torch.randn(SLOTS, 1, size, RANK) for size in OUT)
    return a, b


def wrapper(ids, *, prefill):
    made = GroupedPunicaWrapper(max_num_batched_tokens=64, max_batches=16, device="cpu")
    mapping = SimpleNamespace(index_mapping=tuple(ids), prompt_mapping=tuple(ids), is_prefill=prefill)
    # Adapter ids 11, 12, 13 stand in slots 0, 1 and 3; slot 2 is free.
    made.update_metadata(mapping, [11, 12, None, 13], SLOTS, 100)
    return made


def slowly(ids, x, a, b, y):
    slot_of = {11: 0, 12: 1, 13: 3}
    y = y.clone()
    for row, adapter in enumerate(ids):
        if adapter:
            at = 0
            for one_a, one_b in zip(a, b, strict=True):
                slot = slot_of[adapter]
                y[row, at : at + one_b.shape[-2]] += x[row] @ one_a[slot, 0].T @ one_b[slot, 0].T
                at += one_b.shape[-2]
    return y


@pytest.mark.parametrize("prefill", [True, False])
@pytest.mark.parametrize(
    "ids", [[0, 0], [11], [11, 11, 12, 12, 12], [0, 13, 0, 11, 13, 13, 0, 12], [13, 0], [12, 0, 12]]
)
def test_each_token_gets_its_own_adapter_and_base_tokens_none(weights, ids, prefill):
    a, b = weights
    x, y = torch.randn(len(ids), IN), torch.randn(len(ids), sum(OUT))
    expected = slowly(ids, x, a, b, y)
    wrapper(ids, prefill=prefill).add_lora_linear(y, x, a, b, 1.0, OUT)
    torch.testing.assert_close(y, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("ids", [[0, 13, 11], [0, 0]])
def test_logits_follow_the_same_groups(weights, ids):
    a, b = weights[0][0], weights[1][0]
    x, y = torch.randn(len(ids), IN), torch.randn(len(ids), OUT[0] + 3)
    expected = y.clone()
    expected[:, : OUT[0]] = slowly(ids, x, (a,), (b,), y[:, : OUT[0]])
    wrapper(ids, prefill=False).add_lora_logits(y, x, a, b, 1.0)
    torch.testing.assert_close(y, expected, rtol=1e-4, atol=1e-4)


def test_groups_are_slices_where_tokens_are_contiguous():
    groups = group_rows(torch.tensor([-1, 2, 2, 0, 1, 0]))
    assert [slot for slot, _ in groups] == [0, 1, 2]
    assert groups[0][1].tolist() == [3, 5]
    assert groups[1][1] == slice(4, 5)
    assert groups[2][1] == slice(1, 3)
