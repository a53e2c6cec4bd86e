"""The over-optimisation curve (Gao et al. 2023): what training pays, and what it is worth, against episodes.

As long as the rewards and the judge rise together, the policy learns. Where only the rewards rise, or the reward passes
that of the references, it games them.
"""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from policies.store.replace_file import replace_file
from trainer.validation.evaluation import Evaluation, ReferenceFigures
from trainer.validation.selection import RULE, best

CURVE = "overoptimisation"
"""The name of the files: .json, .csv and .svg."""
_COLUMNS = (
    "step", "episodes", "training_reward", "reward", "judge", "copied", "longest", "kl", "words", "tokens", "truncated",
    "repetition", "completeness",
)  # fmt: skip
_PANELS = {
    "reward": "weighted reward of an answer",
    "judge": "the judge's weighted reward",
    "copied": "share of words in copied 8-grams",
    "kl": "nats a response from the parent",
}


def write_curve(evaluations: Sequence[Evaluation], references: ReferenceFigures, directory: Path) -> None:
    """Write the curve so far beside the run, as JSON, CSV and a plot; a kill leaves each old or new."""
    rows = [evaluation.figures() for evaluation in evaluations]
    chosen = best(evaluations)
    summary = {
        "references": references.model_dump(),
        "rule": RULE,
        "best": chosen and {"step": chosen.step, "episodes": chosen.episodes},
        "evaluations": rows,
    }
    replace_file(directory / f"{CURVE}.json", json.dumps(summary, indent=1) + "\n")
    table = io.StringIO()
    writer = csv.DictWriter(table, [*_COLUMNS, *_rates(rows), "violations"], lineterminator="\n")
    writer.writeheader()
    for values in rows:
        flat = values | {f"clean_rate.{name}": rate for name, rate in values["clean_rate"].items()}
        writer.writerow({name: flat[name] for name in writer.fieldnames} | {"violations": " ".join(flat["violations"])})
    replace_file(directory / f"{CURVE}.csv", table.getvalue())
    draw_curve(summary, directory / f"{CURVE}.svg")


def _rates(rows: Sequence[dict[str, Any]]) -> list[str]:
    return [f"clean_rate.{name}" for name in (rows[0]["clean_rate"] if rows else ())]


def draw_curve(summary: dict[str, Any], path: Path) -> None:
    """Draw training and validation reward, judge, copied words and KL; dashed, what the references have."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6), layout="constrained")
    rows, chosen = summary["evaluations"], summary["best"]
    episodes = [row["episodes"] for row in rows]
    for axes, (key, label) in zip(figure.subplots(2, 2).flat, _PANELS.items(), strict=True):
        axes.plot(episodes, [row[key] for row in rows], "o-", color="C0", label="validation questions")
        if key == "reward":
            trained = [row for row in rows if row["training_reward"] is not None]
            axes.plot(
                [row["episodes"] for row in trained], [row["training_reward"] for row in trained], "o-", color="C1",
                label="training",
            )  # fmt: skip
        violating = [row for row in rows if row["violations"]]
        axes.plot(
            [row["episodes"] for row in violating], [row[key] for row in violating], "x", color="C3", markersize=9,
            label="violates a guard",
        )  # fmt: skip
        if key in summary["references"]:
            axes.axhline(summary["references"][key], color="0.5", linestyle="--", label="reference answers")
        if chosen is not None:
            axes.axvline(chosen["episodes"], color="C2", linewidth=0.8, label="best")
        axes.set(xlabel="episodes", title=label)
        axes.grid(alpha=0.3)
    lines = figure.axes[0].get_legend_handles_labels()
    figure.legend(*lines, loc="outside upper center", ncols=len(lines[0]))
    drawn = io.StringIO()
    figure.savefig(drawn, format="svg")
    replace_file(path, drawn.getvalue())
