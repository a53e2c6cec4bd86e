"""Packed LoRA against one token at a time."""

from types import SimpleNamespace

import pytest
import torch

pytest.importorskip("vllm")

from service.engine import cpu_lora
from service.engine.cpu_lora import Packed, PackedPunicaWrapper, Step

SLOTS, RANK, IN, OUT = 4, 8, 16, (12, 6, 6)
SLOT_OF = {11: 0, 12: 1, 13: 3}
"""Adapter ids and where they stand; slot 2 is free."""
BATCHES = [[0, 0], [11], [11, 11, 12, 12, 12], [0, 13, 0, 11, 13, 13, 0, 12], [13, 0], [12, 0, 12], [12] * 5]


class Layer:
    """Weights as vLLM's layers hold and replace them."""

    def __init__(self, out=OUT, dtype=torch.float32):
        self.a = tuple(torch.zeros(SLOTS, 1, RANK, IN, dtype=dtype) for _ in out)
        self.b = tuple(torch.zeros(SLOTS, 1, size, RANK, dtype=dtype) for size in out)
        self.out = out

    def reset(self, slot):
        for one in (*self.a, *self.b):
            one[slot] = 0

    def set(self, slot, rank=RANK, slices=None):
        self.reset(slot)
        for i in slices or range(len(self.out)):
            self.a[i][slot, 0, :rank].copy_(torch.randn(rank, IN))
            self.b[i][slot, 0, :, :rank].copy_(torch.randn(self.out[i], rank))

    def add(self, wrapper, y, x, scale=1.0):
        wrapper.add_lora_linear(y, x, self.a, self.b, scale, self.out)

    def slowly(self, ids, y, x, scale=1.0):
        """What `add` should leave in y: each token on its own, in float64."""
        y, x = y.double(), x.double()
        for row, adapter in enumerate(ids):
            at = 0
            for a, b in zip(self.a, self.b, strict=True):
                if adapter:
                    update = x[row] @ a[SLOT_OF[adapter], 0].double().T @ b[SLOT_OF[adapter], 0].double().T
                    y[row, at : at + b.shape[-2]] += scale * update
                at += b.shape[-2]
        return y


@pytest.fixture
def layer():
    torch.manual_seed(0)
    made = Layer()
    for slot in SLOT_OF.values():
        made.set(slot)
    return made


def wrapper(ids=(0,), *, prefill=True):
    made = PackedPunicaWrapper(max_num_batched_tokens=2048, max_batches=256, device="cpu")
    step(made, ids, prefill=prefill)
    return made


def step(wrapper, ids, *, prefill=True):
    mapping = SimpleNamespace(index_mapping=tuple(ids), prompt_mapping=tuple(ids), is_prefill=prefill)
    wrapper.update_metadata(mapping, [11, 12, None, 13], SLOTS, 100)


def check(layer, wrapper, ids, scale=1.0):
    x, y = torch.randn(len(ids), IN), torch.randn(len(ids), sum(layer.out))
    expected = layer.slowly(ids, y, x, scale)
    layer.add(wrapper, y, x, scale)
    torch.testing.assert_close(y.double(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("prefill", [True, False])
@pytest.mark.parametrize("ids", BATCHES)
def test_each_token_gets_its_own_adapter_and_base_tokens_none(layer, ids, prefill):
    check(layer, wrapper(ids, prefill=prefill), ids)


@pytest.mark.parametrize("way", ["together", "gathered", "in runs", "small"])
@pytest.mark.parametrize("ids", BATCHES)
def test_every_way_to_take_the_rows_gives_the_same(layer, ids, way, monkeypatch):
    monkeypatch.setattr(cpu_lora, "_SMALL", 10**9 if way == "small" else 0)
    monkeypatch.setattr(cpu_lora, "_TURN", 10**9 if way == "together" else -(10**9))
    monkeypatch.setattr(cpu_lora, "_RUN", 1 if way == "in runs" else 10**9)
    check(layer, wrapper(ids), ids, scale=0.5)


def test_a_large_batch_of_requests_of_any_length_mixes_prefill_and_decode(layer):
    requests = [(0, 200), (12, 1), (11, 300), (13, 1), (0, 1), (11, 1), (12, 250), (11, 130), (0, 1), (13, 1), (12, 1)]
    ids = [adapter for adapter, length in requests for _ in range(length)]
    check(layer, wrapper(ids), ids)


def test_bfloat16_is_as_close_as_its_rounding():
    torch.manual_seed(0)
    layer = Layer((640,), torch.bfloat16)
    for slot in SLOT_OF.values():
        layer.set(slot)
    for ids in ([11], [11] * 300, [0, 11, 12] * 8, [0] * 150 + [11] * 150 + [13] * 150):
        x, y = torch.randn(len(ids), IN).bfloat16(), torch.randn(len(ids), 640).bfloat16()
        expected = layer.slowly(ids, y, x)
        layer.add(wrapper(ids), y, x)
        base = torch.tensor(ids) == 0
        assert torch.equal(y[base], expected[base].bfloat16())
        assert (y.double() - expected).norm() / expected.norm() < 0.01


def test_a_row_gets_the_same_bits_in_any_company():
    torch.manual_seed(0)
    layer = Layer((640,), torch.bfloat16)
    for slot in SLOT_OF.values():
        layer.set(slot)
    x, y = torch.randn(1, IN).bfloat16(), torch.randn(1, 640).bfloat16()
    got = []
    for company in ([], [11] * 200, [12, 0, 13] * 10, [12] * 300 + [11] * 300):
        ids = [11, *company]
        xs, ys = (torch.cat([one, torch.zeros(len(company), one.shape[1]).bfloat16()]) for one in (x, y))
        layer.add(wrapper(ids), ys, xs)
        got.append(ys[0])
    apart = [(one != got[0]).float().mean().item() for one in got]
    assert max(apart) < 0.01  # sums in another order round differently at times


def test_ranks_slices_and_slots_without_effect_are_left_out():
    layer = Layer()
    layer.set(0, rank=2)
    layer.set(1, slices=[1])
    packed = Packed.of(layer.a, layer.b)
    assert packed.spans == {0: (0, 6), 1: (6, 14)}
    assert packed.a.shape == (14, IN)
    assert packed.b.shape == (14, sum(OUT))
    for ids in BATCHES:
        check(layer, wrapper(ids), ids)


def test_layers_that_no_adapter_of_the_step_changes_have_nothing_to_do(layer):
    empty, other = Layer(), Layer()
    other.set(0)
    packed = [Packed.of(one.a, one.b) for one in (empty, other, layer)]
    assert [len(Step([1, -1, 3]).turns(one)) for one in packed] == [0, 0, 1]
    assert [len(Step([-1, -1]).turns(one)) for one in packed] == [0, 0, 0]
    assert [len(Step([0, 0]).turns(one)) for one in packed] == [0, 1, 1]


def test_a_batch_of_one_adapter_needs_no_mask(layer):
    packed = Packed.of(layer.a, layer.b)
    (turn,) = Step([3, 3]).turns(packed)
    assert (turn.rows, turn.mask) == (None, None)
    assert turn.a_t.shape == (IN, 3 * RANK)
    (turn,) = Step([3, -1]).turns(packed)
    assert turn.mask.sum(1).tolist() == [3 * RANK, 0]


def test_a_slot_that_is_filled_anew_answers_by_its_new_weights(layer):
    made, ids = wrapper([11, 12, 0]), [11, 12, 0]
    check(layer, made, ids)
    layer.set(0)  # vLLM loads an adapter between two steps whose mapping of tokens to slots is the same
    check(layer, made, ids)
    layer.reset(1)
    check(layer, made, ids)
    layer.set(1, rank=1)
    check(layer, made, ids)


def test_steps_follow_each_other_in_one_wrapper(layer):
    made, other = wrapper(), Layer((7,))
    other.set(3)
    for ids in (*BATCHES, *reversed(BATCHES)):
        step(made, ids)
        check(layer, made, ids)
        check(other, made, ids)


def test_rows_that_pad_a_batch_stay_as_they_are(layer):
    x, y = torch.randn(5, IN), torch.randn(5, sum(OUT))
    for ids in ([11, 11, 11], [11, 0, 12]):
        expected = y.clone()
        expected[:3] = layer.slowly(ids, y[:3], x[:3]).float()
        got = y.clone()
        layer.add(wrapper(ids), got, x)
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_an_output_of_another_type_is_added_to():
    layer = Layer(dtype=torch.bfloat16)
    layer.set(0)
    ids = [11] * 40
    x, y = torch.randn(40, IN).bfloat16(), torch.randn(40, sum(OUT))
    expected = layer.slowly(ids, y, x)
    layer.add(wrapper(ids), y, x)
    assert (y.double() - expected).norm() / expected.norm() < 0.01


def test_it_is_one_operator_to_the_compiler_which_follows_the_steps(layer):
    made = wrapper()

    def forward(x):
        y = x @ torch.ones(IN, sum(OUT))
        layer.add(made, y, x)
        return y * 2

    compiled = torch.compile(forward, fullgraph=True, backend="aot_eager", dynamic=True)
    for ids in BATCHES:
        step(made, ids)
        x = torch.randn(len(ids), IN)
        expected = 2 * layer.slowly(ids, x @ torch.ones(IN, sum(OUT)), x)
        torch.testing.assert_close(compiled(x).double(), expected, rtol=1e-4, atol=1e-4)
    layer.set(1)
    expected = 2 * layer.slowly(ids, x @ torch.ones(IN, sum(OUT)), x)
    torch.testing.assert_close(compiled(x).double(), expected, rtol=1e-4, atol=1e-4)


class Platform:
    """Like vLLM's, it does not compile what has adapters."""

    @classmethod
    def check_and_update_config(cls, config):
        config.compiled = config.lora_config is None


def test_adapters_do_not_keep_vllm_from_compiling():
    adapters = object()
    for _ in range(2):
        cpu_lora.allow_compiling(Platform)
        config = SimpleNamespace(lora_config=adapters)
        Platform.check_and_update_config(config)
        assert config.compiled
        assert config.lora_config is adapters


@pytest.mark.parametrize("ids", [[0, 13, 11], [0, 0]])
def test_logits_follow_the_same_slots(ids):
    torch.manual_seed(0)
    layer = Layer(OUT[:1])
    for slot in SLOT_OF.values():
        layer.set(slot)
    x, y = torch.randn(len(ids), IN), torch.randn(len(ids), OUT[0] + 3)
    expected = y.clone()
    expected[:, : OUT[0]] = layer.slowly(ids, y[:, : OUT[0]], x).float()
    wrapper(ids, prefill=False).add_lora_logits(y, x, layer.a[0], layer.b[0], 1.0)
    torch.testing.assert_close(y, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("ids", BATCHES)
def test_shrinking_and_expanding_apart_gives_the_same(layer, ids):
    """What tensor-parallel layers do, which exchange what lies between."""
    x, y = torch.randn(len(ids), IN), torch.randn(len(ids), sum(OUT))
    expected = layer.slowly(ids, y, x)
    made, between = wrapper(ids), tuple(torch.zeros(len(ids), RANK) for _ in OUT)
    made.add_shrink(between, x, layer.a, 1.0)
    made.add_expand(y, between, layer.b, OUT)
    torch.testing.assert_close(y.double(), expected, rtol=1e-4, atol=1e-4)


def test_groups_are_slices_where_rows_lie_together():
    groups = Step([-1, 2, 2, 0, 1, 0]).groups()
    assert [slot for slot, _ in groups] == [0, 1, 2]
    assert groups[0][1].tolist() == [3, 5]
    assert groups[1][1] == slice(4, 5)
    assert groups[2][1] == slice(1, 3)
