"""The packed kernels against a computation of one token at a time."""

from types import SimpleNamespace

import pytest
import torch

pytest.importorskip("vllm")

from service.engine import cpu_lora, packed_adapters
from service.engine.cpu_lora import PackedPunicaWrapper

SLOTS, RANK, IN, OUT = 4, 8, 16, (12, 6, 6)
SLOT_OF = {11: 0, 12: 1, 13: 3}
"""Slots of the adapters by id; slot 2 is free."""
BATCHES = [[0, 0], [11], [11, 11, 12, 12, 12], [0, 13, 0, 11, 13, 13, 0, 12], [13, 0], [12, 0, 12], [12] * 5]


class Layer:
    """Weights as vLLM's layers hold and replace them."""

    def __init__(self, out=OUT, dtype=torch.float32):
        self.a = tuple(torch.zeros(SLOTS, 1, RANK, IN, dtype=dtype) for _ in out)
        self.b = tuple(torch.zeros(SLOTS, 1, size, RANK, dtype=dtype) for size in out)
        self.out = out

    def reset(self, slot):
        for weights in (*self.a, *self.b):
            weights[slot] = 0

    def set(self, slot, rank=RANK, slices=None):
        self.reset(slot)
        for i in slices or range(len(self.out)):
            self.a[i][slot, 0, :rank].copy_(torch.randn(rank, IN))
            self.b[i][slot, 0, :, :rank].copy_(torch.randn(self.out[i], rank))

    def add(self, wrapper, y, x, scale=1.0):
        wrapper.add_lora_linear(y, x, self.a, self.b, scale, self.out)

    def expected(self, ids, y, x, scale=1.0):
        """What `add` should leave in y: each token by itself, in float64."""
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
    return filled_layer()


def filled_layer(out=OUT, dtype=torch.float32):
    filled = Layer(out, dtype)
    for slot in SLOT_OF.values():
        filled.set(slot)
    return filled


def make_wrapper(ids=(0,), *, prefill=True):
    wrapper = PackedPunicaWrapper(max_num_batched_tokens=2048, max_batches=256, device="cpu")
    start_step(wrapper, ids, prefill=prefill)
    return wrapper


def start_step(wrapper, ids, *, prefill=True):
    mapping = SimpleNamespace(index_mapping=tuple(ids), prompt_mapping=tuple(ids), is_prefill=prefill)
    wrapper.update_metadata(mapping, [11, 12, None, 13], SLOTS, 100)


def check(layer, wrapper, ids, scale=1.0):
    x, y = torch.randn(len(ids), IN), torch.randn(len(ids), sum(layer.out))
    expected = layer.expected(ids, y, x, scale)
    layer.add(wrapper, y, x, scale)
    torch.testing.assert_close(y.double(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("prefill", [True, False])
@pytest.mark.parametrize("ids", BATCHES)
def test_each_token_uses_its_adapter_and_base_tokens_none(layer, ids, prefill):
    check(layer, make_wrapper(ids, prefill=prefill), ids)


@pytest.mark.parametrize("way", ["together", "gathered", "in runs", "small"])
@pytest.mark.parametrize("ids", BATCHES)
def test_every_way_to_multiply_the_rows_gives_the_same(layer, ids, way, monkeypatch):
    monkeypatch.setattr(packed_adapters, "_SMALL", 10**9 if way == "small" else 0)
    monkeypatch.setattr(packed_adapters, "_TURN", 10**9 if way == "together" else -(10**9))
    monkeypatch.setattr(packed_adapters, "_RUN", 1 if way == "in runs" else 10**9)
    check(layer, make_wrapper(ids), ids, scale=0.5)


def test_a_large_batch_may_mix_prefill_and_decode(layer):
    requests = [(0, 200), (12, 1), (11, 300), (13, 1), (0, 1), (11, 1), (12, 250), (11, 130), (0, 1), (13, 1), (12, 1)]
    ids = [adapter for adapter, length in requests for _ in range(length)]
    check(layer, make_wrapper(ids), ids)


def test_bfloat16_is_as_exact_as_its_rounding_allows():
    torch.manual_seed(0)
    layer = filled_layer((640,), torch.bfloat16)
    for ids in ([11], [11] * 300, [0, 11, 12] * 8, [0] * 150 + [11] * 150 + [13] * 150):
        x, y = torch.randn(len(ids), IN).bfloat16(), torch.randn(len(ids), 640).bfloat16()
        expected = layer.expected(ids, y, x)
        layer.add(make_wrapper(ids), y, x)
        base = torch.tensor(ids) == 0
        assert torch.equal(y[base], expected[base].bfloat16())
        assert (y.double() - expected).norm() / expected.norm() < 0.01


def test_a_row_gets_the_same_bits_in_any_batch():
    torch.manual_seed(0)
    layer = filled_layer((640,), torch.bfloat16)
    x, y = torch.randn(1, IN).bfloat16(), torch.randn(1, 640).bfloat16()
    results = []
    for others in ([], [11] * 200, [12, 0, 13] * 10, [12] * 300 + [11] * 300):
        ids = [11, *others]
        xs, ys = (torch.cat([row, torch.zeros(len(others), row.shape[1]).bfloat16()]) for row in (x, y))
        layer.add(make_wrapper(ids), ys, xs)
        results.append(ys[0])
    differing = [(result != results[0]).float().mean().item() for result in results]
    assert max(differing) < 0.01  # sums in another order are sometimes rounded differently


def test_adapters_may_have_fewer_ranks_and_slices():
    layer = Layer()
    layer.set(0, rank=2)
    layer.set(1, slices=[1])
    for ids in BATCHES:
        check(layer, make_wrapper(ids), ids)


def test_a_slot_that_is_filled_again_uses_its_new_weights(layer):
    kernels, ids = make_wrapper([11, 12, 0]), [11, 12, 0]
    check(layer, kernels, ids)
    layer.set(0)  # vLLM loads an adapter between two steps whose mapping of tokens to slots is the same
    check(layer, kernels, ids)
    layer.reset(1)
    check(layer, kernels, ids)
    layer.set(1, rank=1)
    check(layer, kernels, ids)


def test_one_wrapper_serves_one_step_after_another(layer):
    kernels, other = make_wrapper(), Layer((7,))
    other.set(3)
    for ids in (*BATCHES, *reversed(BATCHES)):
        start_step(kernels, ids)
        check(layer, kernels, ids)
        check(other, kernels, ids)


def test_rows_that_pad_a_batch_stay_unchanged(layer):
    x, y = torch.randn(5, IN), torch.randn(5, sum(OUT))
    for ids in ([11, 11, 11], [11, 0, 12]):
        expected = y.clone()
        expected[:3] = layer.expected(ids, y[:3], x[:3]).float()
        result = y.clone()
        layer.add(make_wrapper(ids), result, x)
        torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-4)


def test_the_output_may_have_another_type():
    layer = Layer(dtype=torch.bfloat16)
    layer.set(0)
    ids = [11] * 40
    x, y = torch.randn(40, IN).bfloat16(), torch.randn(40, sum(OUT))
    expected = layer.expected(ids, y, x)
    layer.add(make_wrapper(ids), y, x)
    assert (y.double() - expected).norm() / expected.norm() < 0.01


def test_compiled_code_follows_the_steps_through_one_operator(layer):
    kernels = make_wrapper()

    def forward(x):
        y = x @ torch.ones(IN, sum(OUT))
        layer.add(kernels, y, x)
        return y * 2

    compiled = torch.compile(forward, fullgraph=True, backend="aot_eager", dynamic=True)
    for ids in BATCHES:
        start_step(kernels, ids)
        x = torch.randn(len(ids), IN)
        expected = 2 * layer.expected(ids, x @ torch.ones(IN, sum(OUT)), x)
        torch.testing.assert_close(compiled(x).double(), expected, rtol=1e-4, atol=1e-4)
    layer.set(1)
    expected = 2 * layer.expected(ids, x @ torch.ones(IN, sum(OUT)), x)
    torch.testing.assert_close(compiled(x).double(), expected, rtol=1e-4, atol=1e-4)


class Platform:
    """Like vLLM's CPU platform, it does not compile models with adapters."""

    @classmethod
    def check_and_update_config(cls, config):
        config.compiled = config.lora_config is None


def test_vllm_compiles_models_with_adapters():
    adapters = object()
    for _ in range(2):
        cpu_lora.allow_compiling(Platform)
        config = SimpleNamespace(lora_config=adapters)
        Platform.check_and_update_config(config)
        assert config.compiled
        assert config.lora_config is adapters


@pytest.mark.parametrize("ids", [[0, 13, 11], [0, 0]])
def test_logits_use_the_adapters_of_their_sequences(ids):
    torch.manual_seed(0)
    layer = filled_layer(OUT[:1])
    x, y = torch.randn(len(ids), IN), torch.randn(len(ids), OUT[0] + 3)
    expected = y.clone()
    expected[:, : OUT[0]] = layer.expected(ids, y[:, : OUT[0]], x).float()
    make_wrapper(ids, prefill=False).add_lora_logits(y, x, layer.a[0], layer.b[0], 1.0)
    torch.testing.assert_close(y, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("ids", BATCHES)
def test_shrinking_and_expanding_separately_gives_the_same(layer, ids):
    """Tensor-parallel layers do that: they exchange the result of shrinking."""
    x, y = torch.randn(len(ids), IN), torch.randn(len(ids), sum(OUT))
    expected = layer.expected(ids, y, x)
    kernels, shrunk = make_wrapper(ids), tuple(torch.zeros(len(ids), RANK) for _ in OUT)
    kernels.add_shrink(shrunk, x, layer.a, 1.0)
    kernels.add_expand(y, shrunk, layer.b, OUT)
    torch.testing.assert_close(y.double(), expected, rtol=1e-4, atol=1e-4)
