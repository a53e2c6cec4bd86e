from types import SimpleNamespace

import pytest
import torch

from rewards.compute import compute_dtype


@pytest.mark.parametrize(("kernels", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_a_cpu_runs_models_in_bfloat16_only_where_it_has_kernels_for_it(monkeypatch, kernels, dtype):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.ops, "mkldnn", SimpleNamespace(_is_mkldnn_bf16_supported=lambda: kernels))
    assert compute_dtype() == dtype
