"""`fgctl experiment detox`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from cli.output import print_json, print_table, remarks
from cli.training.options import BaseOption, SetOption


def detox(
    budget: Annotated[int, typer.Option("--budget", min=1, help="Episodes of each run.")] = 3840,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each arm, with seeds 0, 1, …")] = 3,
    prompts: Annotated[int, typer.Option(min=1, help="Held-out prompts to continue.")] = 100,
    samples: Annotated[int, typer.Option(min=1, help="Continuations of each of them.")] = 25,
    recipe: Annotated[str, typer.Option(help="Name of a recipe, or a TOML file of settings.")] = "detox",
    overrides: SetOption = None,
    data: Annotated[Path | None, typer.Option(help="Prompts (JSON lines of RealToxicityPrompts).")] = None,
    rewards: Annotated[
        Path | None, typer.Option(help="A fitted toxicity.json.", show_default="the shipped one")
    ] = None,
    base: BaseOption = None,
    out: Annotated[Path | None, typer.Option(help="Directory for results.", show_default="runs/experiments/…")] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Compare a toxicity reward at the end of each sentence with one at the end, on the same prompts and budget.

    After an interruption, the same command continues.
    """
    from policies.base import resolve_base
    from policies.store import PolicyStore
    from policies.weights import Weights
    from rewards.toxicity.second_opinion import SecondOpinion
    from trainer.evaluation.continuations import Opinions
    from trainer.evaluation.fluency import fluency_model
    from trainer.experiments.arms import holistic
    from trainer.experiments.detox import draw_detox, held_out_sample, run_detox, summarise_detox
    from trainer.experiments.experiment import RESULTS, Experiment
    from trainer.tasks.detox import TASK, WEIGHTS
    from trainer.tracking.checkpoint import sole_use

    path, directory = data or TASK.data_file(), out or Path("runs") / "experiments" / f"detox-{budget}"
    scorer, model = TASK.load_scorer(rewards), resolve_base(base)
    weights = Weights.parse(WEIGHTS, scorer.categories)
    experiment = Experiment(
        "detox", holistic(weights), weights, seeds, recipe, tuple(overrides or ()), budget, path, directory
    )
    for arm, seed in experiment.runs():
        experiment.recipe(arm, seed)  # an unknown setting is reported before anything is trained
    with sole_use(directory, "experiment"):
        results = run_detox(
            experiment, TASK, model, scorer, Opinions(scorer.model, SecondOpinion.load()),
            fluency_model(model, PolicyStore()), held_out_sample(TASK.held_out_examples(path), prompts), samples,
            remarks.print,
        )  # fmt: skip
    summary = summarise_detox(results)
    files = {"results": str(directory / RESULTS), "plots": [str(draw_detox(results, directory / "curves.svg"))]}
    if json_output:
        print_json(summary | files)
        return
    _show(summary)
    remarks.print(f"Raw numbers: {files['results']}. Plot: {files['plots'][0]}.")


def _show(summary: dict[str, Any]) -> None:
    from trainer.experiments.detox import FIGURES

    print_table(
        "detox: means with 95 % intervals, over seeds where there are several, else over prompts",
        ["arm", "seeds", "episodes", *FIGURES],
        [
            [row["arm"], row["seeds"], row["episodes"], *(_figure(**row[name]) for name in FIGURES)]
            for row in summary["arms"]
        ],
    )
    for name, goal in summary["goals"].items():
        value = "never" if goal["value"] is None else f"{goal['value']:.3f}"
        remarks.print(f"Goal {name.replace('_', ' ')}: {value}, {'met' if goal['met'] else 'missed'}.")


def _figure(mean: float, half_width: float | None, interval: list[float] | None) -> str:
    if interval is not None:
        return f"{mean:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]"
    return f"{mean:.3f}" if half_width is None else f"{mean:.3f} ± {half_width:.3f}"
