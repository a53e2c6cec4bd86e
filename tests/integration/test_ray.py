"""Training on the workers of a Ray cluster of this machine.

Ray takes half a gigabyte with what it needs, so this runs only after `make ray` has installed it.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from policies.store import PolicyStore
from rewards.dataset import SAMPLE

ROOT = Path(__file__).parents[2]
INSTALLED = ROOT / ".servers/ray"


@pytest.fixture
def fgctl(tmp_path):
    """Runs `fgctl` with Ray, where there are no policies yet; returns exit code, output and errors."""
    if not INSTALLED.is_dir():
        pytest.skip("Ray is not installed; `make ray` installs it for this test")
    paths = os.pathsep.join([str(ROOT), str(INSTALLED)])
    environment = os.environ | {"PYTHONPATH": paths, "FGCTL_POLICIES": str(tmp_path / "policies")}
    # Ray ends workers where little memory is left, whoever has it.
    environment |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_memory_monitor_refresh_ms": "0", "OMP_NUM_THREADS": "1"}

    def run(*arguments):
        done = subprocess.run(
            [sys.executable, "-m", "cli", *map(str, arguments)],
            cwd=tmp_path, env=environment,
            capture_output=True, text=True, check=False, timeout=900,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.mark.slow
def test_the_workers_of_a_cluster_train_what_one_process_trains(fgctl, tiny, tmp_path):
    """The run's directory is relative: the workers begin where the command was given."""
    sft = ["sft", "--recipe", "smoke", "--base", tiny.path, "--data", SAMPLE / "train.json"]
    sft += ["--set", "lora.top_layers=2"]
    code, _, err = fgctl("ray", "--workers", "2", "--cpu", "--retries", "0", "--", *sft, "--run", "runs/two")
    assert code == 0, err[-4000:]
    assert len(PolicyStore(tmp_path / "policies").versions("sft")) == 1
    code, _, err = fgctl(*sft, "--run", "runs/one")
    assert code == 0, err[-4000:]
    alone, shared = [
        [json.loads(line)["sft/loss"] for line in (tmp_path / f"runs/{run}/metrics.jsonl").open()]
        for run in ("one", "two")
    ]
    assert shared == pytest.approx(alone, rel=1e-3)
    assert len(shared) == 2


@pytest.mark.slow
def test_what_fails_on_a_worker_fails_the_command(fgctl, tiny):
    sft = ["sft", "--recipe", "smoke", "--base", tiny.path, "--data", "missing.json"]
    code, _, err = fgctl("ray", "--workers", "1", "--cpu", "--retries", "0", "--", *sft)
    assert code == 1
    assert "fgctl: missing.json does not exist; name an existing file or set FGCTL_DATA." in err.splitlines()
