"""`fgctl experiment holistic|ablate|customize|mix|quality|shift|front|detox`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.output import print_json, print_table, remarks
from cli.training.experiment_detox import detox
from cli.training.front_experiment import front
from cli.training.options import PAPER_WEIGHTS, DataOption, RecipeOption, RewardsOption, SetOption
from cli.training.quality_experiment import quality
from cli.training.shift_experiment import shift

if TYPE_CHECKING:
    from trainer.experiments.arms import Arm

app = typer.Typer(
    help="Train in several ways with equal budgets and compare them: a table, plots and raw numbers.",
    no_args_is_help=True,
)

BudgetOption = Annotated[int, typer.Option("--budget", min=1, help="Episodes of each run.")]
SeedsOption = Annotated[int, typer.Option(min=1, help="Runs of each arm, with seeds 0, 1, …")]
HeldOutOption = Annotated[Path | None, typer.Option(help="Questions to evaluate on (in the format of dev.json).")]
OutOption = Annotated[Path | None, typer.Option(help="Directory for results.", show_default="runs/experiments/…")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")]
WeightsOption = Annotated[str, typer.Option(help="Weights by which every arm is judged.")]
_PROFILES = ("0.4,0.5,0.3", PAPER_WEIGHTS, "0.2,0.5,0.3")


@app.command()
def holistic(
    budget: BudgetOption = 1920,
    weights: WeightsOption = PAPER_WEIGHTS,
    seeds: SeedsOption = 3,
    recipe: RecipeOption = "cpu",
    overrides: SetOption = None,
    data: DataOption = None,
    held_out: HeldOutOption = None,
    rewards: RewardsOption = None,
    out: OutOption = None,
    json_output: JsonOption = False,
) -> None:
    """Compare fine-grained rewards with one preference reward at the end, on the same questions and budget.

    The curves have 95 % intervals over seeds. After an interruption, the same command continues.
    """
    from trainer.experiments.arms import holistic as arms_of
    from trainer.experiments.summary import ahead, catches_up

    wanted = _weights(weights)
    common = (seeds, recipe, overrides, data, held_out, rewards, out)
    results, summary = _run("holistic", arms_of(wanted), weights, budget, *common)
    summary |= {
        "ahead": ahead(results, "fine-grained", "holistic"),
        "catches_up": catches_up(results, "fine-grained", "holistic"),
    }
    _show(summary, json_output)
    if json_output:
        return
    lead, catch_up = summary["ahead"], summary["catches_up"]
    remarks.print(
        f"At equal numbers of episodes, fine-grained is ahead by {lead['difference']:+.3f} "
        f"[{lead['low']:+.3f}, {lead['high']:+.3f}] over the last {lead['steps']} steps."
    )
    if catch_up["share"] is not None:
        by_seed = ", ".join("never" if s["share"] is None else f"{s['share']:.0%}" for s in catch_up["by_seed"])
        remarks.print(
            f"It stays above holistic's final level after {catch_up['episodes']:.0f} episodes, {catch_up['share']:.0%} "
            f"of the budget (by seed: {by_seed})."
        )


@app.command()
def ablate(
    budget: BudgetOption = 1920,
    weights: WeightsOption = PAPER_WEIGHTS,
    seeds: SeedsOption = 1,
    recipe: RecipeOption = "cpu",
    overrides: SetOption = None,
    data: DataOption = None,
    held_out: HeldOutOption = None,
    rewards: RewardsOption = None,
    out: OutOption = None,
    json_output: JsonOption = False,
) -> None:
    """Remove each category in turn, to see what each reward model contributes.

    After an interruption, the same command continues.
    """
    from trainer.experiments.arms import ablations

    common = (seeds, recipe, overrides, data, held_out, rewards, out)
    _, summary = _run("ablate", ablations(_weights(weights)), weights, budget, *common)
    _show(summary, json_output)


@app.command()
def customize(
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--setting", help="A setting of the weights; can be repeated.", show_default="the three profiles'"
        ),
    ] = None,
    budget: BudgetOption = 1920,
    weights: WeightsOption = PAPER_WEIGHTS,
    seeds: SeedsOption = 1,
    recipe: RecipeOption = "cpu",
    overrides: SetOption = None,
    data: DataOption = None,
    held_out: HeldOutOption = None,
    rewards: RewardsOption = None,
    out: OutOption = None,
    json_output: JsonOption = False,
) -> None:
    """Compare several settings of the weights: the length and error rates of each, and the trade-off.

    After an interruption, the same command continues.
    """
    from trainer.experiments.arms import customisations

    arms = customisations([_weights(setting) for setting in settings or _PROFILES])
    common = (seeds, recipe, overrides, data, held_out, rewards, out)
    _, summary = _run("customize", arms, weights, budget, *common)
    _show(summary, json_output)


@app.command()
def mix(
    points: Annotated[int, typer.Option(min=1, help="Number of mixtures to evaluate, at random weights.")] = 9,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random weights.")] = 0,
    held_out: HeldOutOption = None,
    rewards: RewardsOption = None,
    out: OutOption = None,
    json_output: JsonOption = False,
) -> None:
    """Evaluate mixtures of the current policies at random weights: do they earn what lies between their anchors?

    After an interruption, the same command continues.
    """
    from policies.base import resolve_base
    from policies.store import PolicyStore
    from rewards.dataset import data_file, load_examples
    from rewards.held_out import to_evaluate
    from rewards.models.judge import Judge
    from rewards.scorer import Scorer
    from trainer.experiments.experiment import RESULTS
    from trainer.experiments.mixing import Mixing, run_mixing
    from trainer.experiments.plots import draw_mixing
    from trainer.tracking.checkpoint import sole_use

    directory = out or Path("runs") / "experiments" / f"mix-{points}"
    questions = load_examples(held_out or data_file("dev"))
    base = resolve_base(None)
    with sole_use(directory, "experiment"):
        results = run_mixing(
            Mixing(points, seed, directory), PolicyStore(), base, Scorer.load(rewards), Judge.load(base.path),
            to_evaluate(questions), remarks.print,
        )  # fmt: skip
    plot = draw_mixing(results, directory / "mixtures.svg")
    if json_output:
        print_json(results | {"results": str(directory / RESULTS), "plots": [str(plot)]})
        return
    figures = list(results["points"][0]["figures"])
    print_table(
        "Policies and their mixtures: measured figures and, in brackets, the anchors' mixed figures",
        ["weights", "policy", *figures],
        [
            [
                ",".join(f"{value:.2f}" for value in point["weights"].values()),
                point["anchor"] or "mixture",
                *(f"{point['figures'][name]:.3f} ({point['expected'][name]:.3f})" for name in figures),
            ]
            for point in results["points"]
        ],
    )
    mixtures = [point for point in results["points"] if point["anchor"] is None]
    for name in figures:
        inside = sum(point["between"][name] for point in mixtures)
        remarks.print(f"{name}: {inside} of {len(mixtures)} mixtures lie between their anchors.")
    remarks.print(f"Raw numbers: {directory / RESULTS}. Plot: {plot}.")


app.command()(detox)
app.command()(quality)
app.command()(shift)
app.command()(front)


def _weights(text: str) -> Any:
    from policies.weights import Weights
    from rewards.configuration import load_configuration

    return Weights.parse(text, load_configuration().specs)


def _run(
    kind: str,
    arms: "Sequence[Arm]",
    weights: str,
    budget: int,
    seeds: int,
    recipe: str,
    overrides: list[str] | None,
    data: Path | None,
    held_out: Path | None,
    rewards: Path | None,
    out: Path | None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run what is not done yet, draw the plots, and summarise."""
    from policies.base import resolve_base
    from policies.store import PolicyStore
    from rewards.dataset import data_file, load_examples
    from rewards.held_out import to_evaluate
    from rewards.models.judge import Judge
    from rewards.scorer import Scorer
    from trainer.experiments.experiment import RESULTS, Experiment, run_experiment
    from trainer.experiments.plots import draw
    from trainer.experiments.summary import summarise
    from trainer.tracking.checkpoint import sole_use

    directory = out or Path("runs") / "experiments" / f"{kind}-{budget}"
    experiment = Experiment(
        kind, tuple(arms), _weights(weights), seeds, recipe, tuple(overrides or ()), budget,
        data or data_file("train"), directory,
    )  # fmt: skip
    for arm, seed in experiment.runs():
        experiment.recipe(arm, seed)  # an unknown setting is reported before anything is trained
    questions = load_examples(held_out or data_file("dev"))
    with sole_use(directory, "experiment"):
        results = run_experiment(
            experiment, PolicyStore(), resolve_base(None), Scorer.load(rewards), Judge.load(resolve_base(None).path),
            to_evaluate(questions), remarks.print,
        )  # fmt: skip
    plots = draw(results, directory)
    files = {"results": str(directory / RESULTS), "plots": [str(path) for path in plots]}
    references = results["runs"][0]["evaluation"]["references"]
    summary = {"kind": kind, "weights": results["weights"], "arms": summarise(results), "references": references}
    return results, summary | files


def _show(summary: dict[str, Any], json_output: bool) -> None:
    if json_output:
        print_json(summary)
        return
    figures = [name for name in summary["arms"][0] if name not in ("arm", "seeds", "episodes")]
    print_table(
        f"{summary['kind']}: means, with 95 % intervals over seeds where there are several",
        ["arm", "seeds", "episodes", *figures],
        [
            [row["arm"], row["seeds"], row["episodes"], *(_figure(**row[name]) for name in figures)]
            for row in summary["arms"]
        ],
    )
    people = summary["references"]
    remarks.print(
        f"Reference answers to the same questions: {people['length']['words']:.1f} words, copied "
        f"{people['copied']['share']:.3f}, longest run {people['copied']['longest']:.1f}."
    )
    remarks.print(f"Raw numbers: {summary['results']}. Plots: {', '.join(summary['plots'])}.")


def _figure(mean: float, half_width: float | None) -> str:
    return f"{mean:.3f}" if half_width is None else f"{mean:.3f} ± {half_width:.3f}"
