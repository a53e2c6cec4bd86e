"""`fgctl experiment front`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from cli.output import print_json, print_table, remarks
from cli.training.options import DataOption, RecipeOption, RewardsOption, SetOption
from rewards.errors import FgctlError

LEAST = "-12,-3,-1"
"""trainer.experiments.front.measures.least_rewards, as help shows it without loading that module."""


def front(
    budget: Annotated[
        int, typer.Option("--budget", min=1, help="Episodes of a method, divided between its trainings.")
    ] = 10_000,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each training, with seeds 0, 1, …")] = 1,
    divisions: Annotated[
        int, typer.Option(min=1, max=10, help="The points: all multiples of 1/N that sum to one; 3 gives ten points.")
    ] = 3,
    methods: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            help="Advance only this one: morlhf, mixtures, soups or bone-soups. Can be repeated.",
            show_default="all",
        ),
    ] = None,
    betas: Annotated[
        list[float] | None,
        typer.Option(
            "--beta",
            help="Diagonal of the matrix of Bone Soups' backbones. Can be repeated.",
            show_default="0.6, 0.7, 0.8",
        ),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(
            "--reference-point",
            help="Reference point of the hypervolume: a mean reward of each category. By default that of answers in "
            "which nothing is right.",
            show_default=LEAST,
        ),
    ] = None,
    recipe: RecipeOption = "cpu",
    overrides: SetOption = None,
    data: DataOption = None,
    held_out: Annotated[Path | None, typer.Option(help="Questions to evaluate on (in the format of dev.json).")] = None,
    rewards: RewardsOption = None,
    out: Annotated[Path | None, typer.Option(help="Directory for results.", show_default="runs/experiments/…")] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Compare ways to a policy for any weights, at equal budgets: trained for each, our mixtures, and merged soups.

    After an interruption, the same command continues. With --method the work can be spread over several nights; the
    table covers the methods that are finished.
    """
    from policies.base import resolve_base
    from policies.store import PolicyStore
    from rewards.dataset import data_file, load_examples
    from rewards.held_out import to_evaluate
    from rewards.models.judge import Judge
    from rewards.scorer import Scorer
    from trainer.experiments.experiment import RESULTS
    from trainer.experiments.front.front import Front, Means, run_front
    from trainer.experiments.front.methods import FAMILIES, lattice
    from trainer.experiments.front.methods import methods as methods_of
    from trainer.experiments.front.plot import draw_fronts
    from trainer.tracking.checkpoint import sole_use

    points = lattice(divisions)
    experiment = Front(
        tuple(methods_of(methods or FAMILIES, points, betas or (0.6, 0.7, 0.8))), tuple(points), budget, seeds,
        _point(reference), recipe, tuple(overrides or ()), data or data_file("train"),
        out or Path("runs") / "experiments" / f"front-{budget}",
    )  # fmt: skip
    for method in experiment.methods:
        experiment.recipe(method, 0)  # an unknown setting is reported before anything is trained
    questions = load_examples(held_out or data_file("dev"))
    base = resolve_base(None)
    means = Means(PolicyStore(), base, Scorer.load(rewards), Judge.load(base.path), to_evaluate(questions))
    with sole_use(experiment.directory, "experiment"):
        results = run_front(experiment, means, remarks.print)
    plot = draw_fronts(results, experiment.directory / "front.svg")
    if json_output:
        print_json(results | {"results": str(experiment.directory / RESULTS), "plots": [str(plot)]})
        return
    _print(results)
    remarks.print(f"Raw numbers: {experiment.directory / RESULTS}. Plot: {plot}.")


def _point(text: str | None) -> tuple[float, ...]:
    from rewards.categories import BUILT_IN
    from trainer.experiments.front.measures import least_rewards

    if text is None:
        return least_rewards()
    try:
        values = tuple(float(value) for value in text.split(","))
    except ValueError:
        values = ()
    if len(values) != len(BUILT_IN) or not all(abs(value) < float("inf") for value in values):
        raise FgctlError(f"--reference-point {text} is not {len(BUILT_IN)} numbers; write for example {LEAST}.")
    return values


def _print(results: dict[str, Any]) -> None:
    categories = list(results["reference_point"])
    print_table(
        f"Fronts above {', '.join(f'{value:g}' for value in results['reference_point'].values())}, 95 % intervals",
        ["method", "trainings", "episodes", "hypervolume", "by the judge", "rank agreement", *categories, "sparsity"],
        [
            [
                row["method"], row["trainings"], row["episodes"], _estimate(row["hypervolume"]),
                _estimate(row["judge_hypervolume"]), _estimate(row["rank_agreement"]),
                *(f"{row['rank_agreement']['categories'][name]:.2f}" for name in categories), f"{row['sparsity']:.4f}",
            ]
            for row in results["methods"]
        ],
    )  # fmt: skip
    for row in results["methods"]:
        if any(row["not_above"].values()):
            remarks.print(
                f"{row['method']}: {row['not_above']['reward']:g} points by the rewards and "
                f"{row['not_above']['judge']:g} by the judge are not above the reference point, so they add nothing to "
                f"the hypervolume; name a lower --reference-point."
            )
    for difference in results["differences"]:
        remarks.print(
            f"The hypervolume of {difference['method']} minus that of {difference['from']}: {_estimate(difference)}."
        )


def _estimate(estimate: dict[str, float]) -> str:
    return f"{estimate['value']:.3f} [{estimate['low']:.3f}, {estimate['high']:.3f}]"
