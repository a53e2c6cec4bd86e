"""`fgctl rewards calibrate`."""

from pathlib import Path
from typing import Annotated

import typer

from cli.output import counting, print_json, print_table, remarks
from cli.rewards.options import JsonOption, ModelOption


def calibrate(
    out: Annotated[Path, typer.Option(help="Where to write the calibrated reward models.")],
    data: Annotated[
        str | None,
        typer.Option(
            help="Local labels: a store (sqlite:///…, postgresql://…), JSON lines of labelled spans, or feedback (the "
            "schema of feedback.json)."
        ),
    ] = None,
    model: ModelOption = None,
    json_output: JsonOption = False,
) -> None:
    """Fit the reward models' probabilities and thresholds to local labels; how they rank answers stays as it is.

    Reports the calibration error on held-out answers before and after, and keeps a category as it is where it would
    become worse. Refused if no category would be better.
    """
    from cli.rewards.labelled_data import load_labelled
    from rewards.heads.annotation_label import labels_path, save_labels
    from rewards.models.feedback_rewards import FeedbackRewards, save_rewards
    from rewards.quality.calibrated_rewards import evaluate_categories, recalibrated, with_labels
    from rewards.quality.judged_segments import judge

    labelled = load_labelled(data)
    rewards = FeedbackRewards.load(model)
    with counting("Scoring the labelled answers", len(labelled.responses)) as advance:
        judged = judge(labelled.responses, rewards, advance)
    evaluated = evaluate_categories(judged, labelled.name)
    calibrated = recalibrated(rewards.fitted, evaluated, {labelled.name: labelled.digest})
    # The rewards last: a service that follows the file then finds its label heads.
    if (labels := with_labels(rewards.labels, calibrated.version)) is not None:
        save_labels(labels_path(out), labels)
    save_rewards(out, calibrated)
    figures = calibrated.model_dump(mode="json")["calibrated"]["categories"]
    if json_output:
        print_json({"version": calibrated.version, "parent": rewards.version, "path": str(out), "categories": figures})
        return
    rows = [
        [
            *(name, part["answers"], part["segments"], part["calibration_error_before"]),
            *(part["calibration_error_after"], "calibrated" if part["taken"] else "left as it is"),
        ]
        for name, part in figures.items()
    ]
    columns = ["category", "answers", "segments", "calibration error", "after, held out", ""]
    print_table(f"Reward models {calibrated.version}, calibrated from {rewards.version}", columns, rows)
    remarks.print(f"Wrote {out}. To serve it: FGCTL_REWARDS={out}")
