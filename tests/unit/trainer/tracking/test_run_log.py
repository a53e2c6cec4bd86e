import json

import pytest

from trainer.tracking.run_log import RunLog


def test_a_resumed_run_continues_its_log_from_the_checkpoint(tmp_path):
    with RunLog(tmp_path, "run", total=5, start=0) as log:
        for step in range(3):
            log.step(step, {"loss": float(step)}, "")
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3, "lo')
    with RunLog(tmp_path, "run", total=5, start=2) as log:
        log.step(2, {"loss": 9.0}, "")
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").open()]
    assert lines == [{"step": 0, "loss": 0.0}, {"step": 1, "loss": 1.0}, {"step": 2, "loss": 9.0}]


def test_a_resumption_that_breaks_off_loses_no_step(tmp_path, monkeypatch):
    with RunLog(tmp_path, "run", total=5, start=0) as log:
        for step in range(3):
            log.step(step, {"loss": float(step)}, "")
    before = (tmp_path / "metrics.jsonl").read_text()

    def break_off(file):
        raise OSError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr("policies.store.replace_file.os.fsync", break_off)
        with pytest.raises(OSError, match="full"):
            RunLog(tmp_path, "run", total=5, start=2)
    assert (tmp_path / "metrics.jsonl").read_text() == before


def test_samples_are_written_and_continue_from_the_checkpoint_too(tmp_path):
    with RunLog(tmp_path, "run", total=5, start=0) as log:
        for step in range(3):
            log.samples(step, "Où?", [f"Ici {step}."])
    with RunLog(tmp_path, "run", total=5, start=2) as log:
        log.samples(2, "Où?", ["Là."])
    lines = [json.loads(line) for line in (tmp_path / "samples.jsonl").open(encoding="utf-8")]
    assert [(line["step"], line["question"], line["responses"]) for line in lines] == [
        (0, "Où?", ["Ici 0."]), (1, "Où?", ["Ici 1."]), (2, "Où?", ["Là."]),
    ]  # fmt: skip


def test_sentences_and_scalars_are_recorded_and_printed(tmp_path, capsys):
    with RunLog(tmp_path, "run", total=5, start=0) as log:
        log.scalars(2, {"validation/reward": 0.5})
        log.say(2, "after 96 episodes, all [is] well")
        log.say(2, "warning, guard 'copied': it copies", warning=True)
    assert [line for line in capsys.readouterr().err.splitlines() if line][:2] == [
        "after 96 episodes, all [is] well.", "warning, guard 'copied': it copies.",
    ]  # fmt: skip
