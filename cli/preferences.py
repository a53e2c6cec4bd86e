"""`fgctl preferences simulate`."""

from itertools import count
from typing import Annotated, Any, Literal

import typer

from cli.output import counting, print_json, print_table
from cli.policies_option import PoliciesOption
from rewards.errors import FgctlError

app = typer.Typer(help="Learn from thumbs and comparisons which weights a caller wants.", no_args_is_help=True)


@app.callback()
def preferences() -> None:
    """Learn from thumbs and comparisons which weights a caller wants."""


@app.command()
def simulate(
    people: Annotated[
        list[str] | None,
        typer.Option(
            "--person", help="Weights that a simulated person wants; repeat for several.", show_default="nine"
        ),
    ] = None,
    feedback: Annotated[Literal["thumbs", "comparisons"], typer.Option(help="What people give.")] = "thumbs",
    profile: Annotated[str, typer.Option(help="The profile that learning begins at.")] = "medium",
    rounds: Annotated[int, typer.Option(min=1, max=10_000, help="Answers that each person judges.")] = 100,
    repeats: Annotated[int, typer.Option(min=1, max=10_000, help="Runs of each person, to average.")] = 20,
    sensitivity: Annotated[float, typer.Option(min=0.01, max=100, help="How sure people are; 1 is usual.")] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same result.")] = 0,
    policies: PoliciesOption = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Simulate people with known weights, and print the regret of learned preferences and of fixed profiles.

    Answers and their rewards are those of the stored evaluations, so nothing is generated.
    """
    from policies.preferences.simulation import PEOPLE, measured
    from policies.preferences.simulation import simulate as run
    from policies.store import PolicyStore
    from policies.weights import Weights

    wanted = [Weights.parse(text) for text in people or PEOPLE]
    if len(wanted) > 100:
        raise FgctlError(f"{len(wanted)} people would take hours; name at most 100.")
    answers = measured(PolicyStore())
    done = count(1)
    with counting("simulating", len(wanted) * repeats) as advance:
        regrets = run(
            answers, wanted, kind=feedback, profile=profile, rounds=rounds, repeats=repeats, sensitivity=sensitivity,
            seed=seed, progress=lambda: advance(next(done)),
        )  # fmt: skip
    report = {
        "feedback": feedback, "profile": profile, "rounds": rounds, "repeats": repeats, "sensitivity": sensitivity,
        "people": [
            {
                "weights": regret.person.as_dict(), "fixed": dict(regret.fixed), "learned": regret.learned,
                "learned_last_quarter": regret.last, "bound": regret.bound,
            }
            for regret in regrets
        ],
    }  # fmt: skip
    report["mean"] = _mean(report["people"])
    if json_output:
        print_json(report)
    else:
        _print(report)


def _mean(people: Any) -> dict[str, Any]:
    def over(values: list[float]) -> float:
        return sum(values) / len(values)

    fixed = {name: over([person["fixed"][name] for person in people]) for name in people[0]["fixed"]}
    rest = ("learned", "learned_last_quarter", "bound")
    return {"fixed": fixed} | {name: over([person[name] for person in people]) for name in rest}


def _print(report: Any) -> None:
    names = list(report["mean"]["fixed"])
    rows = [(",".join(f"{value:.2f}" for value in person["weights"].values()), person) for person in report["people"]]
    print_table(
        f"Mean regret of a round, learning around {report['profile']} from {report['feedback']}",
        ["wants", *names, "learned", "last quarter", "best in bounds"],
        [
            [wanted, *(row["fixed"][name] for name in names), row["learned"], row["learned_last_quarter"], row["bound"]]
            for wanted, row in (*rows, ("mean", report["mean"]))
        ],
    )
