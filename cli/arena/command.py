"""`fgctl arena`."""

import hashlib
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.output import phases, print_json, print_table, remarks
from cli.training.options import PAPER_WEIGHTS, BaseOption
from rewards.errors import FgctlError


def arena(
    contestants: Annotated[
        list[str],
        typer.Argument(
            help="Two or more of: a profile, sft or base, with @VERSION a version that is not current; references, the "
            "reference answers; NAME=http://HOST/v1#MODEL, a model behind an OpenAI endpoint."
        ),
    ],
    questions: Annotated[
        list[str] | None,
        typer.Option(
            help="A question set: qa-feedback, expertqa, wice, store (what people asked a service), or a file in the "
            "format of dev.json. Can be repeated.",
            show_default="qa-feedback",
        ),
    ] = None,
    judges: Annotated[
        list[str] | None,
        typer.Option(
            "--judge",
            help="Who compares: judge, people (on /compare, by the feedback store), or http://HOST/v1#MODEL. Can be "
            "repeated.",
            show_default="judge",
        ),
    ] = None,
    budget: Annotated[int, typer.Option("--budget", min=1, help="Use at most this many questions of each set.")] = 80,
    seeds: Annotated[
        int, typer.Option(min=1, help="Answers of each contestant to each question; a single one is greedy.")
    ] = 1,
    weights: Annotated[str, typer.Option(help="Weights by which the judge compares.")] = PAPER_WEIGHTS,
    store: Annotated[
        str | None,
        typer.Option(
            envvar="FGCTL_FEEDBACK_STORE", help="Feedback store for people: sqlite:///PATH or postgresql://…."
        ),
    ] = None,
    base: BaseOption = None,
    out: Annotated[Path | None, typer.Option(help="Directory for results.", show_default="runs/arena/…")] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Compare contestants head to head: blind, in drawn order, by the judge, by people or by a model.

    After an interruption, the same command continues; with --judge people it also fetches what was compared since. An
    endpoint's key is read from OPENAI_API_KEY.
    """
    from cli.arena.people import ask_people, questions_in
    from policies.base import resolve_base
    from policies.store import PolicyStore
    from policies.weights import Weights
    from rewards.configuration import load_configuration
    from rewards.models.judge import Judge
    from trainer.arena.arena import JUDGE, PEOPLE, Arena, answer_all, judge_all, results_of, write_results
    from trainer.arena.chat_endpoint import Address
    from trainer.arena.contestants import contestant, distinct
    from trainer.arena.question_sets import STORE, load_questions
    from trainer.arena.report import write_report
    from trainer.tracking.checkpoint import sole_use

    by = list(dict.fromkeys(judges or [JUDGE]))
    for name in by:
        if name not in (JUDGE, PEOPLE):
            Address.parse(name)
    sets = list(dict.fromkeys(questions or ["qa-feedback"]))
    if store is None and (PEOPLE in by or STORE in sets):
        raise FgctlError("No feedback store is named; give --store sqlite:///feedback.db or set FGCTL_FEEDBACK_STORE.")
    wanted = Weights.parse(weights, load_configuration().specs)
    model, policies = resolve_base(base), PolicyStore()
    of_store = questions_in(store) if store and STORE in sets else []
    sides = distinct([contestant(text, policies, model, wanted) for text in contestants])
    chosen = [question for name in sets for question in load_questions(name, budget, of_store)]
    directory = out or _directory([(side.name, side.version) for side in sides], sets, budget, seeds, weights)
    competing = Arena(sides, chosen, seeds, wanted, directory)
    with sole_use(directory, "arena"), phases() as progress:
        answered = answer_all(competing, model, progress)
        machines = [name for name in by if name != PEOPLE]
        verdicts = judge_all(
            competing, answered, machines, lambda: Judge.load(resolve_base(None).path), progress
        )  # fmt: skip
    if store and PEOPLE in by:
        verdicts[PEOPLE] = ask_people(store, competing, answered)
    results = results_of(competing, answered, verdicts)
    files = [write_results(competing, results), *write_report(results, competing.directory)]
    if json_output:
        print_json(results | {"files": [str(path) for path in files]})
        return
    _print(results)
    if PEOPLE in by:
        compared, asked = {verdict.match for verdict in verdicts[PEOPLE]}, len(answered.different)
        remarks.print(
            f"People have compared {len(compared)} of {asked} pairs. Serve with this feedback store and open /compare "
            "for more; the same command then counts them."
        )
    remarks.print(f"Files: {', '.join(map(str, files))}.")


def _directory(*settings: object) -> Path:
    """The directory of an arena: the same settings find it again."""
    return Path("runs") / "arena" / hashlib.sha256(repr(settings).encode()).hexdigest()[:8]


def _print(results: dict[str, Any]) -> None:
    for name, summary in results["judges"].items():
        print_table(
            f"Bradley-Terry ratings by {name}, {summary['matches']} matches",
            ["contestant", "rating", "won", "tied", "both bad", "lost", "words"],
            [
                [
                    row["name"], f"{row['rating']:.0f} [{row['low']:.0f}, {row['high']:.0f}]",
                    *(f"{row[count]:g}" for count in ("won", "tied", "both_bad", "lost")), f"{row['words']:.1f}",
                ]
                for row in summary["contestants"]
            ],
        )  # fmt: skip
        print_table(
            f"Win rates by {name}, a tie counting half",
            ["pair", "matches", "win rate", "at equal length"],
            [
                [
                    f"{pair['a']} over {pair['b']}",
                    pair["matches"],
                    _share(pair["win_rate"]),
                    _share(pair["at_equal_length"]),
                ]
                for pair in summary["pairs"]
            ],
        )
        if position := summary["position"]:
            agreement = summary["agreement_of_orders"]
            remarks.print(
                f"{_share(position)} of {name}'s {position['verdicts']:g} preferences are for the text shown first."
                + ("" if agreement is None else f" In both orders it says the same of {agreement:.0%} of the pairs.")
            )
        if summary["unread"]:
            remarks.print(f"{summary['unread']} replies of {name} name no choice and do not count.")


def _share(estimate: dict[str, float]) -> str:
    return f"{estimate['share']:.3f} [{estimate['low']:.3f}, {estimate['high']:.3f}]"
