import csv
import json

from trainer.validation.curve import write_curve


def test_the_curve_is_a_plot_a_table_and_json_beside_the_run(evaluation, references, tmp_path):
    evaluations = [
        evaluation(0, -0.1),
        evaluation(10, 0.2, kl=1.5, training_reward=0.3),
        evaluation(20, 0.5, kl=2.5, training_reward=0.6, violations={"ceiling": "too good"}),
    ]
    write_curve(evaluations, references, tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {f"overoptimisation.{kind}" for kind in ("json", "csv", "svg")}
    summary = json.loads((tmp_path / "overoptimisation.json").read_text())
    assert summary["best"] == {"step": 10, "episodes": 480}
    assert summary["references"]["reward"] == 0.4
    assert [e["training_reward"] for e in summary["evaluations"]] == [None, 0.3, 0.6]
    assert "rewards" not in summary["evaluations"][0]
    rows = list(csv.DictReader((tmp_path / "overoptimisation.csv").open()))
    assert [row["episodes"] for row in rows] == ["0", "480", "960"]
    assert [row["violations"] for row in rows] == ["", "", "ceiling"]
    assert (rows[1]["reward"], rows[1]["kl"], rows[1]["clean_rate.relevance"]) == ("0.2", "1.5", "0.5")
    assert (tmp_path / "overoptimisation.svg").read_text().startswith("<?xml")


def test_a_curve_of_one_evaluation_has_no_best_yet(evaluation, references, tmp_path):
    write_curve([evaluation(0)], references, tmp_path)
    assert json.loads((tmp_path / "overoptimisation.json").read_text())["best"] is None
