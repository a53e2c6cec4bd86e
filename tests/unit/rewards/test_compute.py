from itertools import cycle
from types import SimpleNamespace

import pytest
import torch

from rewards import compute
from rewards.compute import compute_dtype


@pytest.fixture
def multiply(monkeypatch):
    """A CPU with kernels for bfloat16, or without, on whose clock a product takes so many seconds in each precision.

    `delays` are added to its products in turn, as by other work on the machine.
    """

    def machine(kernels, delays=(0.0,), **seconds):
        clock, waits = [0.0], cycle(delays)

        def mm(factor, _):
            clock[0] += seconds[str(factor.dtype).removeprefix("torch.")] + next(waits)

        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        monkeypatch.setattr(torch.ops, "mkldnn", SimpleNamespace(_is_mkldnn_bf16_supported=lambda: kernels))
        monkeypatch.setattr(torch, "mm", mm)
        monkeypatch.setattr(compute.time, "perf_counter", lambda: clock[0])
        compute._multiplies_faster.cache_clear()

    yield machine
    compute._multiplies_faster.cache_clear()


@pytest.mark.parametrize(
    ("kernels", "bfloat16", "dtype"),
    [(True, 0.001, torch.bfloat16), (True, 0.006, torch.float32), (False, 0.001, torch.float32)],
)
def test_a_cpu_runs_models_in_bfloat16_only_where_it_multiplies_it_faster(multiply, kernels, bfloat16, dtype):
    multiply(kernels, bfloat16=bfloat16, float32=0.004)
    assert compute_dtype() == dtype


def test_other_work_on_the_machine_does_not_change_the_precision(multiply):
    multiply(True, delays=(9.0, 9.0, 0.0, 0.0, 9.0), bfloat16=0.001, float32=0.004)
    assert compute_dtype() == torch.bfloat16
