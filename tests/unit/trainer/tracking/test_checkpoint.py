import pytest
import torch

from rewards.errors import FgctlError
from trainer.tracking.checkpoint import claim_run, load_checkpoint, save_checkpoint


def test_a_run_belongs_to_its_settings_and_keeps_its_checkpoint(tmp_path):
    run = tmp_path / "run"
    claim_run(run, {"weights": [1, 2]})
    claim_run(run, {"weights": [1, 2]})
    with pytest.raises(FgctlError, match="other settings"):
        claim_run(run, {"weights": [2, 1]})
    assert load_checkpoint(run) is None
    save_checkpoint(run, {"step": 3, "x": torch.ones(2)})
    (run / "checkpoint.pt.new").write_bytes(b"cut by a kill")
    assert load_checkpoint(run)["step"] == 3
