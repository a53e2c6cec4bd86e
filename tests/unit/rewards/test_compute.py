from types import SimpleNamespace

import pytest
import torch

from rewards.compute import compute_dtype


@pytest.mark.parametrize(
    ("machine", "kernels", "amx", "dtype"),
    [
        ("x86_64", True, True, torch.bfloat16),
        ("x86_64", True, False, torch.float32),
        ("x86_64", False, False, torch.float32),
        ("aarch64", True, False, torch.bfloat16),
        ("aarch64", False, False, torch.float32),
    ],
)
def test_a_cpu_runs_models_in_bfloat16_only_where_its_hardware_multiplies_it(monkeypatch, machine, kernels, amx, dtype):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr(torch.ops, "mkldnn", SimpleNamespace(_is_mkldnn_bf16_supported=lambda: kernels))
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert compute_dtype() == dtype
