"""Policies for benchmarks."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

MODULES = [f"base_model.model.model.layers.0.self_attn.{name}" for name in ("q_proj", "v_proj")]


@pytest.fixture
def policies(service, tmp_path):
    """The policies of a service, each with an adapter in its directory."""
    copies = [replace(policy, path=tmp_path / name) for name, policy in service.backend.roster.served.items()]
    for policy, rank in zip(copies, (8, 16, 8), strict=True):
        policy.path.mkdir()
        config = {"peft_type": "LORA", "r": rank, "lora_alpha": 16, "target_modules": r".*\.[qv]_proj"}
        (policy.path / "adapter_config.json").write_text(json.dumps(config))
        tensors = {f"{module}.lora_A.weight": torch.ones(rank, 4) for module in MODULES}
        tensors |= {f"{module}.lora_B.weight": torch.ones(4, rank) for module in MODULES}
        save_file(tensors, policy.path / "adapter_model.safetensors")
    return copies
