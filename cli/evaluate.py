"""`fgctl evaluate`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from cli.output import busy, print_json, print_table

_MAX_PROMPT_TOKENS = 1024


def evaluate(
    profile: Annotated[
        list[str] | None,
        typer.Option(help="A profile, sft or base; may be given several times.", show_default="sft and every profile"),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Questions with reference answers (the schema of dev.json).")
    ] = None,
    weights: Annotated[
        str, typer.Option(help="Weights for the rewards of sft and base, which have none of their own.")
    ] = "0.3,0.5,0.3",
    every: Annotated[
        bool, typer.Option("--all", help="Also judge questions that are not held out of training.")
    ] = False,
    record: Annotated[bool, typer.Option("--record", help="Keep the figures in each policy's policy.json.")] = False,
    rewards: Annotated[Path | None, typer.Option(help="Fitted reward models.", show_default="the shipped ones")] = None,
    judged: Annotated[bool, typer.Option("--judge/--no-judge", help="Also ask the judge, a second opinion.")] = True,
    base: Annotated[str | None, typer.Option(help="Base model.", show_default="embedded")] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the reports as JSON.")] = False,
) -> None:
    """Answer the held-out questions by policies as they are served, and judge the answers.

    Of a file that holds questions of the held-out list, only those count; of any other, all.
    """
    from policies.base import resolve_base
    from policies.store import Decoding, PolicyStore
    from policies.weights import Weights
    from rewards.categories import BUILT_IN
    from rewards.dataset import data_file, load_examples, only_held_out
    from rewards.judge import Judge
    from rewards.scorer import Scorer
    from trainer.evaluate import BASE, candidate, evaluate_policies, supervised_first

    examples = load_examples(data or data_file("dev"))
    if not every:
        examples = only_held_out(examples) or examples
    store, model, scorer = PolicyStore(), resolve_base(base), Scorer.load(rewards)
    fallback = Weights.parse(weights, scorer.categories)
    candidates = [
        candidate(store, name, fallback, model) for name in profile or supervised_first(list(store.profiles()))
    ]
    judge = Judge.load(resolve_base(None).path) if judged else None
    reports: list[dict[str, Any]] = []
    running = evaluate_policies(candidates, examples, store, model, scorer, Decoding(), _MAX_PROMPT_TOKENS, judge)
    for one in candidates:
        with busy(f"{one.name}: answering and judging {len(examples)} questions"):
            report = next(running)
        reports.append(report)
        if record and one.name != BASE:
            store.record_scores(one.name, one.version, {k: v for k, v in report.items() if k not in _IDENTITY})
    running.close()
    if json_output:
        print_json(reports[0] if profile and len(profile) == 1 else reports)
        return
    title = f"{len(examples)} questions, reward models {reports[0]['rewards']}, J: the judge"
    added = [category for category in scorer.categories if category not in BUILT_IN]
    columns = _COLUMNS + [f"{category} clean" for category in added]
    print_table(title, columns, [_row(r) + [r["clean_rate"][category] for category in added] for r in reports])


_IDENTITY = ("profile", "version", "weights")
_COLUMNS = [
    "policy",
    "version",
    "words",
    "tokens",
    "R1 clean",
    "R2 clean",
    "R3",
    "ROUGE-Lsum",
    "repetition",
    "truncated",
    "reward",
    "J R1 clean",
    "J R2 clean",
    "J R3",
]


def _row(report: dict[str, Any]) -> list[object]:
    judge = report["judge"]
    second = (
        [judge["clean_rate"]["relevance"], judge["clean_rate"]["factuality"], judge["completeness"]] if judge else []
    )
    return [
        report["profile"],
        report["version"],
        round(report["length"]["words"], 1),
        round(report["length"]["tokens"], 1),
        report["clean_rate"]["relevance"],
        report["clean_rate"]["factuality"],
        report["completeness"],
        round(report["rouge_lsum"], 2),
        report["repetition"],
        report["truncated"],
        report["weighted_reward"],
        *(second or ["-"] * 3),
    ]
