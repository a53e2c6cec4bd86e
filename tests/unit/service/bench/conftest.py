"""Policies for benchmarks."""

import json
from dataclasses import replace

import pytest


@pytest.fixture
def policies(service, tmp_path):
    """The policies of a service, each with an adapter configuration in its directory."""
    copies = [replace(policy, path=tmp_path / name) for name, policy in service.backend.roster.served.items()]
    for policy, rank in zip(copies, (8, 16, 8), strict=True):
        policy.path.mkdir()
        config = {"r": rank, "target_modules": ["q_proj", "v_proj"]}
        (policy.path / "adapter_config.json").write_text(json.dumps(config))
    return copies
