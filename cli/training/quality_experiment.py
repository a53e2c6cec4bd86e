"""`fgctl experiment quality`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.output import counting, print_json, print_table, remarks

if TYPE_CHECKING:
    from rewards.models.feedback_rewards import FeedbackRewards
    from rewards.quality.judged_segments import JudgedSegments


def quality(
    budget: Annotated[int, typer.Option("--budget", min=10, help="Draws of labelled answers, for each number.")] = 500,
    seeds: Annotated[int, typer.Option(min=1, help="Repeats of all draws, with seeds 0, 1, …")] = 1,
    rewards: Annotated[
        Path | None, typer.Option("--rewards", help="Fitted reward models; the shipped ones by default.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Directory for results.", show_default="runs/experiments/…")] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Ask what few labels are worth on other people's answers, WiCE and ExpertQA: coverage, width and calibration.

    The reward models' scores are kept in the directory, so that the same command goes on after an interruption.
    """
    from rewards.heads.stored_json import write_in_one_step
    from rewards.models.feedback_rewards import FeedbackRewards
    from rewards.quality.few_labels import study
    from rewards.quality.public_sets import SETS
    from trainer.experiments.few_labels_plot import draw_few_labels

    models = FeedbackRewards.load(rewards)
    directory = out or Path("runs") / "experiments" / f"quality-{models.version}"
    directory.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {"rewards": models.version, "sets": {}}
    for name in SETS:
        at_home = models.error_rates_at_home["factuality"]
        results["sets"][name] = study(_judged(name, models, directory), at_home, draws=budget, seeds=seeds)
    plot = draw_few_labels(results["sets"], directory / "quality.svg")
    write_in_one_step(directory / "results.json", _as_text(results))
    if json_output:
        print_json(results | {"results": str(directory / "results.json"), "plots": [str(plot)]})
        return
    _print(results["sets"])
    remarks.print(f"Raw numbers: {directory / 'results.json'}. Plot: {plot}.")


def _judged(name: str, models: "FeedbackRewards", directory: Path) -> "JudgedSegments":
    """The judged segments of a public set, scored unless they have been by these models."""
    from rewards.quality.judged_segments import judge, load_segments, save_segments
    from rewards.quality.public_sets import load_public_set

    path = directory / f"{name}-{models.version}.json"
    if path.is_file():
        return load_segments(path)
    responses = load_public_set(name)
    with counting(f"Scoring {name}", len(responses)) as advance:
        segments = judge(responses, models, advance)["factuality"]
    save_segments(path, segments)
    return segments


def _as_text(results: dict[str, Any]) -> str:
    import json

    return json.dumps(results, indent=1) + "\n"


def _print(sets: dict[str, Any]) -> None:
    rows = [
        [
            *(name, figures["answers"], figures["truth"], figures["raw"], interval["labels"], interval["coverage"]),
            *(interval["width"], interval["width_labels_only"], f"{interval['narrower']:.0%}"),
            *(f"{figures['most_of_probabilities']:.0%}", f"{figures['most']:.0%}"),
        ]
        for name, figures in sets.items()
        for interval in figures["intervals"]
    ]
    columns = ["set", "answers", "errors", "scores say", "labelled", "coverage", "width", "labels alone", "narrower"]
    columns += ["at most", "by any summary"]
    print_table("Error rates of factuality from few labels, 95 % intervals", columns, rows)
    rows = [
        [
            *(name, figures["auc"]["model"], figures["auc"]["overlap"]),
            *(figures["calibration"][key] for key in ("before", "after", "by_chance", "beyond")),
            figures["label_shift"],
        ]
        for name, figures in sets.items()
    ]
    columns = ["set", "AUC", "of word overlap", "calibration error", "after 50 labels", "by chance alone"]
    columns += ["beyond chance", "errors by label shift"]
    print_table("Ranking and calibration", columns, rows)
