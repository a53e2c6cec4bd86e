"""`fgctl evaluate`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.output import busy, print_json, print_table, remarks

if TYPE_CHECKING:
    from policies.store import PolicyStore


def evaluate(
    profile: Annotated[
        list[str] | None,
        typer.Option(
            help="A profile, sft, either with @VERSION for a version that is not current, or base; may be given "
            "several times.",
            show_default="sft and every profile",
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Questions with reference answers (the schema of dev.json).")
    ] = None,
    weights: Annotated[
        str, typer.Option(help="Weights for the rewards of sft and base, which have none of their own.")
    ] = "0.3,0.5,0.3",
    greedy: Annotated[
        bool, typer.Option("--greedy/--sampled", help="Always the most likely token, or sampled as each is served.")
    ] = True,
    samples: Annotated[
        int | None,
        typer.Option(min=1, help="Answers to a question, with --sampled.", show_default="2 with --sampled, else 1"),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Also judge questions that are not held out of training.")
    ] = False,
    record: Annotated[
        bool,
        typer.Option(
            "--record",
            help="Keep the figures in each policy's policy.json: greedy ones to compare versions by, sampled ones, "
            "under served, to watch the service by.",
        ),
    ] = False,
    rewards: Annotated[Path | None, typer.Option(help="Fitted reward models.", show_default="the shipped ones")] = None,
    judged: Annotated[bool, typer.Option("--judge/--no-judge", help="Also ask the judge, a second opinion.")] = True,
    base: Annotated[str | None, typer.Option(help="Base model.", show_default="embedded")] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the reports as JSON.")] = False,
) -> None:
    """Answer the held-out questions by policies, judge the answers, and compare the policies.

    Of a file that holds questions of the held-out list, only those count; of any other, all. Every figure has a 95 %
    interval, by the bootstrap over questions; policies are compared question by question, with the supervised parent
    where it is among them, and with each other.
    """
    from policies.base import resolve_base
    from policies.store import PolicyStore
    from policies.weights import Weights
    from rewards.dataset import data_file, load_examples, only_held_out
    from rewards.errors import FgctlError
    from rewards.models.judge import Judge
    from rewards.scorer import Scorer
    from trainer.evaluation.candidates import BASE, candidate, supervised_first
    from trainer.evaluation.evaluate import GREEDY, MAX_PROMPT_TOKENS, evaluate_policies

    if greedy and samples not in (None, 1):
        raise FgctlError("Greedy answers to a question are all the same; add --sampled, or leave out --samples.")
    samples = samples or (1 if greedy else _SAMPLES)
    examples = load_examples(data or data_file("dev"))
    if not every:
        examples = only_held_out(examples) or examples
    store, model, scorer = PolicyStore(), resolve_base(base), Scorer.load(rewards)
    fallback = Weights.parse(weights, scorer.categories)
    names = supervised_first(profile or list(store.profiles()))
    candidates = [candidate(store, name, fallback, model) for name in names]
    judge = Judge.load(resolve_base(None).path) if judged else None
    decoding = GREEDY if greedy else None
    reports: list[dict[str, Any]] = []
    running = evaluate_policies(candidates, examples, store, model, scorer, decoding, MAX_PROMPT_TOKENS, judge, samples)
    for one in candidates:
        with busy(f"{one.name}: answering and judging {len(examples)} questions"):
            report = next(running)
        reports.append(report)
        if record and one.name != BASE:
            _record(store, report, greedy)
    running.close()
    if json_output:
        print_json(reports[0] if profile and len(profile) == 1 else reports)
        return
    how = "greedy" if greedy else f"{samples} answers each, sampled as served"
    _print_figures(f"{len(examples)} questions, {how}, reward models {reports[0]['rewards']}", reports)
    label = _labels(reports)
    _print_comparisons("Difference from sft", [(label(one), one["against"]) for one in reports if one["against"]])
    pairs = [(f"{label(one)} - {label(other)}", other) for one in reports for other in one["pairs"]]
    _print_comparisons("Difference between policies", pairs)


_SAMPLES = 2
_NOT_RECORDED = ("profile", "version", "weights", "pairs", "served")
"""What a policy.json says already, what depends on the other policies of the call, and what has a place of its own."""


def _record(store: "PolicyStore", report: dict[str, Any], greedy: bool) -> None:
    """Keep a greedy report as the version's scores; of a sampled one, what the service is watched by."""
    profile, version = report["profile"], report["version"]
    if greedy:
        store.record_scores(profile, version, {k: v for k, v in report.items() if k not in _NOT_RECORDED})
    elif report["served"] is None:
        remarks.print(
            f"Nothing is kept for {profile}@{version}: no question has passages, and no such is scored online."
        )
    else:
        store.record_served(profile, version, report["served"])


def _print_figures(title: str, reports: Sequence[dict[str, Any]]) -> None:
    """A column a policy, a row a figure with its interval."""
    rows = [["version", *(report["version"] for report in reports)]]
    for name in reports[0]["intervals"]:
        rows.append([name])
        for report in reports:
            low, high = report["intervals"][name]
            rows[-1].append(f"{_short(_figure(report, name))} [{_short(low)}, {_short(high)}]")
    print_table(title, ["", *(report["profile"] for report in reports)], rows)


def _labels(reports: Sequence[dict[str, Any]]) -> Callable[[dict[str, Any]], str]:
    """What tells a report from the others: its profile, and the version where a profile has several."""
    profiles = [report["profile"] for report in reports]
    return lambda one: one["profile"] + (f"@{one['version']}" if profiles.count(one["profile"]) > 1 else "")


def _figure(report: dict[str, Any], name: str) -> float:
    """The figure of a dotted name."""
    found: Any = report
    for part in name.split("."):
        found = found[part]
    return float(found)


def _print_comparisons(title: str, comparisons: Sequence[tuple[str, dict[str, Any]]]) -> None:
    """A column a comparison, a row a difference with its interval; nothing for none."""
    if not comparisons:
        return
    columns = [label for label, _ in comparisons]
    every = [one for _, one in comparisons]
    rows = [["length ratio", *(_estimate(one["length_ratio"], "ratio") for one in every)]]
    for name in every[0]["differences"]:
        rows.append([name, *(_estimate(one["differences"][name], "difference", sign="+") for one in every)])
    for name in every[0]["length_controlled"]:
        controlled = [_estimate(one["length_controlled"][name], "difference", sign="+") for one in every]
        rows.append([f"{name}, equal length", *controlled])
    print_table(f"{title}; ! where the judge's has another sign", ["", *columns], rows)


def _estimate(one: dict[str, Any], name: str, sign: str = "") -> str:
    low, high = (_short(one[bound], sign) for bound in ("low", "high"))
    return f"{_short(one[name], sign)} [{low}, {high}]" + ("" if one.get("judge_agrees", True) else " !")


def _short(value: float, sign: str = "") -> str:
    """Three decimals of small figures, one of large ones."""
    return f"{value:{sign}.3f}" if abs(value) < 10 else f"{value:{sign}.1f}"
