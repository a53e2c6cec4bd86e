import errno
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from rewards.errors import FgctlError
from trainer.processes import Processes
from trainer.tracking.checkpoint import (
    claim_run,
    load_checkpoint,
    require_space,
    save_checkpoint,
    sole_training,
    sole_use,
)


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


def test_settings_that_differ_are_named_with_both_values(tmp_path):
    claim_run(tmp_path, {"parent": "a" * 64, "recipe": {"ppo": {"learning_rate": 1e-3, "seed": 0}}})
    with pytest.raises(FgctlError) as refused:
        claim_run(tmp_path, {"parent": "a" * 64, "recipe": {"ppo": {"learning_rate": 2e-3, "seed": 0, "clip": 0.2}}})
    assert "other settings (ppo.clip is null, not 0.2; ppo.learning_rate is 0.001, not 0.002); continue" in str(
        refused.value
    )


def test_one_training_at_a_time_holds_a_run(tmp_path):
    with sole_training(tmp_path / "run", Processes()):
        second = sole_training(tmp_path / "run", Processes())
        with pytest.raises(FgctlError, match=r"Another training is running in .*run; wait for it"), second:
            pass
        with sole_training(tmp_path / "other", Processes()):
            pass
    with sole_training(tmp_path / "run", Processes()):
        pass


def test_one_experiment_at_a_time_uses_a_directory(tmp_path):
    with sole_use(tmp_path / "arena", "arena"):
        message = r"Another arena is running in .*arena; wait for it, or name another directory with --out\."
        with pytest.raises(FgctlError, match=message), sole_use(tmp_path / "arena", "arena"):
            pass
    with sole_use(tmp_path / "arena", "arena"):
        pass


def test_a_training_in_another_process_holds_its_run_until_that_ends(tmp_path):
    program = (
        "import sys; from pathlib import Path\n"
        "from trainer.processes import Processes\n"
        "from trainer.tracking.checkpoint import sole_training\n"
        "with sole_training(Path(sys.argv[1]), Processes()):\n"
        "    print('held', flush=True); sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", program, tmp_path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(FgctlError, match="Another training is running in"), sole_training(tmp_path, Processes()):
            pass
        other.kill()  # a training that is killed holds nothing either
        other.wait()
        with sole_training(tmp_path, Processes()):
            pass


def test_a_training_that_fails_lets_go_of_its_run(tmp_path):
    with pytest.raises(RuntimeError), sole_training(tmp_path, Processes()):
        raise RuntimeError
    with sole_training(tmp_path, Processes()):
        pass


@pytest.mark.parametrize("kept", [0, 10, 500, 1100])
def test_a_checkpoint_cut_short_is_one_sentence(tmp_path, kept):
    save_checkpoint(tmp_path, {"step": 3, "x": torch.ones(2)})
    file = tmp_path / "checkpoint.pt"
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(FgctlError, match=r"checkpoint.pt is damaged \(.*\); restore it, or remove"):
        load_checkpoint(tmp_path)


def test_a_settings_file_cut_short_is_one_sentence(tmp_path):
    claim_run(tmp_path, {"seed": 0})
    (tmp_path / "settings.json").write_text('{"se')
    with pytest.raises(FgctlError, match=r"settings.json is damaged; restore it, or remove"):
        claim_run(tmp_path, {"seed": 0})


def test_a_full_disk_leaves_the_old_checkpoint_and_no_half_of_a_new_one(tmp_path, monkeypatch):
    save_checkpoint(tmp_path, {"step": 3})

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("trainer.tracking.checkpoint.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(tmp_path, {"step": 4})
    assert load_checkpoint(tmp_path)["step"] == 3
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_a_disk_without_room_for_checkpoints_is_found_before_training(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=36_000_000))
    require_space(tmp_path, 1_000_000)
    with pytest.raises(FgctlError, match="has 34 MiB left, and checkpoints take 35; free some space"):
        require_space(tmp_path, 1_000_001)
