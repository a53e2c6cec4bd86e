import json

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
