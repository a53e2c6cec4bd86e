"""`fgctl evaluate`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cli.output import phases, print_json, print_table, remarks
from cli.policies_option import PoliciesOption
from cli.training.evaluate_continuations import evaluate_continuations
from cli.training.options import PAPER_WEIGHTS, BaseOption, RewardsOption, TaskOption

if TYPE_CHECKING:
    from policies.store import PolicyStore


def evaluate(
    profile: Annotated[
        list[str] | None,
        typer.Option(
            help="A profile, sft or base; with @VERSION, a version that is not current. Can be repeated.",
            show_default="sft and every served profile",
        ),
    ] = None,
    task: TaskOption = "qa",
    data: Annotated[
        Path | None, typer.Option(help="Questions with reference answers (in the format of dev.json), or prompts.")
    ] = None,
    weights: Annotated[
        str, typer.Option(help="Weights for sft and base, which have none of their own.")
    ] = PAPER_WEIGHTS,
    greedy: Annotated[
        bool, typer.Option("--greedy/--sampled", help="The most likely token every time, or sampled as in service.")
    ] = True,
    samples: Annotated[
        int | None,
        typer.Option(min=1, help="Answers to each question, with --sampled.", show_default="2 with --sampled, else 1"),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Include questions that are not held out of training.")] = False,
    validation: Annotated[
        bool,
        typer.Option("--validation", help="The validation questions among the training data, not the held-out ones."),
    ] = False,
    record: Annotated[
        bool,
        typer.Option(
            "--record",
            help="Store the figures in each policy.json: greedy ones, by which versions are compared; with "
            "--validation under validation, by which a set of profiles is verified; sampled ones under served, with "
            "which the service is compared.",
        ),
    ] = False,
    rewards: RewardsOption = None,
    with_judge: Annotated[
        bool, typer.Option("--judge/--no-judge", help="Also ask the judge, a second opinion.")
    ] = True,
    perplexity: Annotated[
        bool,
        typer.Option(
            "--perplexity/--no-perplexity",
            help="Also ask how likely the base finds the answers: a pass of its own over every prompt and its answers.",
        ),
    ] = True,
    anchors: Annotated[
        bool, typer.Option("--anchors", help="Without --profile: include profiles that are only anchors of mixtures.")
    ] = False,
    base: BaseOption = None,
    policies: PoliciesOption = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the reports as JSON.")] = False,
) -> None:
    """Let policies answer the held-out questions, judge the answers, and compare the policies.

    If a file has questions of the held-out list, only those count; otherwise all do. Every figure has a 95 % interval,
    by a bootstrap over questions, and stands beside that of the reference answers. Policies are compared question by
    question, with each other and, if it is among them, with the supervised parent.
    """
    from policies.base import resolve_base
    from policies.store import PolicyStore
    from policies.weights import Weights
    from rewards.dataset import data_file, load_examples
    from rewards.errors import FgctlError
    from rewards.held_out import split_validation
    from rewards.models.judge import Judge
    from rewards.scorer import Scorer
    from trainer.evaluation.answers import GREEDY, MAX_PROMPT_TOKENS
    from trainer.evaluation.candidates import BASE, candidate, supervised_first
    from trainer.evaluation.evaluate import evaluate_policies
    from trainer.tasks.task import load_task

    answered = load_task(task)
    if answered.continues:
        if record or validation or every:
            raise FgctlError(f"The task {task} does not support --record, --validation or --all; leave them out.")
        evaluate_continuations(answered, profile or [BASE], data, samples, rewards, base, json_output)
        return
    if greedy and samples not in (None, 1):
        raise FgctlError("All greedy answers to a question are the same; add --sampled, or leave out --samples.")
    samples = samples or (1 if greedy else _SAMPLES)
    if validation and (every or not greedy):
        raise FgctlError("The validation questions are answered greedily, all of them; leave out --all and --sampled.")
    path = data or data_file("train" if validation else "dev")
    if validation:
        _, examples = split_validation(load_examples(path))
    else:
        examples = load_examples(path) if every else answered.held_out_examples(path)
    store, model, scorer = PolicyStore(), resolve_base(base), Scorer.load(rewards)
    fallback = Weights.parse(weights, scorer.categories)
    names = supervised_first(profile or default_profiles(store, anchors))
    candidates = [candidate(store, name, fallback, model) for name in names]
    judge = Judge.load(resolve_base(None).path) if with_judge else None
    decoding = GREEDY if greedy else None
    reports: list[dict[str, Any]] = []
    with phases() as progress:
        running = evaluate_policies(
            candidates,
            examples,
            model,
            scorer,
            decoding,
            MAX_PROMPT_TOKENS,
            judge,
            samples,
            progress,
            task=answered,
            perplexity=perplexity,
        )
        for report in running:
            reports.append(report)
            if record and report["profile"] != BASE:
                _record(store, report, "validation" if validation else "greedy" if greedy else "sampled")
    if json_output:
        print_json(reports[0] if profile and len(profile) == 1 else reports)
        return
    how = "greedy" if greedy else f"{samples} answers each, sampled as served"
    _print_figures(f"{len(examples)} questions, {how}, reward models {reports[0]['rewards']}", reports)
    label = _labels(reports)
    _print_comparisons(
        "Difference from sft", [(label(report), report["against"]) for report in reports if report["against"]]
    )
    pairs = [(f"{label(report)} - {label(other)}", other) for report in reports for other in report["pairs"]]
    _print_comparisons("Difference between policies", pairs)


def default_profiles(store: "PolicyStore", anchors: bool) -> list[str]:
    """The parent and the profiles that users can ask for; the others, too, if anchors are asked for."""
    from policies.store import SFT

    return [name for name, profile in store.profiles().items() if anchors or profile.served or name == SFT]


_SAMPLES = 2
_NOT_RECORDED = ("profile", "version", "weights", "pairs", "same_answers", "served")
"""Keys of a report that policy.json has elsewhere, or that depend on the other policies of the call."""


def _record(store: "PolicyStore", report: dict[str, Any], kind: Literal["greedy", "validation", "sampled"]) -> None:
    """Store a greedy report in the version's scores; of a sampled one, the part that the service is compared with."""
    profile, version = report["profile"], report["version"]
    scores = {name: value for name, value in report.items() if name not in _NOT_RECORDED}
    if kind == "greedy":
        store.record_scores(profile, version, scores)
    elif kind == "validation":
        store.record_validation(profile, version, scores)
    elif report["served"] is None:
        remarks.print(
            f"Nothing is stored for {profile}@{version}: no question has passages, and the service scores only those."
        )
    else:
        store.record_served(profile, version, report["served"])


def _print_figures(title: str, reports: Sequence[dict[str, Any]]) -> None:
    """A column for each policy and one for the references, a row for each figure with its interval."""
    rows = [["version", *(report["version"] for report in reports), ""]]
    for name in reports[0]["intervals"]:
        rows.append([name])
        for report in reports:
            low, high = report["intervals"][name]
            rows[-1].append(f"{_short(_figure(report, name))} [{_short(low)}, {_short(high)}]")
        rows[-1].append(_of_references(name, reports))
    print_table(title, ["", *(report["profile"] for report in reports), "references"], rows)


def _of_references(name: str, reports: Sequence[dict[str, Any]]) -> str:
    """The reference answers' figure; several where it depends on the policies' weights, empty where there is none."""
    try:
        figures = [_short(_figure(report["references"], name)) for report in reports]
    except (KeyError, TypeError):
        return ""
    return " / ".join(figures if name.endswith("weighted_reward") else figures[:1])


def _labels(reports: Sequence[dict[str, Any]]) -> Callable[[dict[str, Any]], str]:
    """How to name a report: by its profile, and by its version, too, where several reports have that profile."""
    profiles = [report["profile"] for report in reports]
    return lambda report: report["profile"] + (f"@{report['version']}" if profiles.count(report["profile"]) > 1 else "")


def _figure(report: dict[str, Any], name: str) -> float:
    """The figure of a dotted name."""
    value: Any = report
    for part in name.split("."):
        value = value[part]
    return float(value)


def _print_comparisons(title: str, comparisons: Sequence[tuple[str, dict[str, Any]]]) -> None:
    """A column for each comparison, a row for each difference with its interval; prints nothing without comparisons."""
    if not comparisons:
        return
    columns = [label for label, _ in comparisons]
    reports = [report for _, report in comparisons]
    rows = [["length ratio", *(_estimate(report["length_ratio"], "ratio") for report in reports)]]
    rows.append(["same answers", *(_estimate(report["same_answers"], "share") for report in reports)])
    for name in reports[0]["differences"]:
        rows.append([name, *(_estimate(report["differences"][name], "difference", sign="+") for report in reports)])
    for name in reports[0]["length_controlled"]:
        controlled = [_estimate(report["length_controlled"][name], "difference", sign="+") for report in reports]
        rows.append([f"{name}, equal length", *controlled])
    print_table(f"{title}; ! where the judge's difference has the opposite sign", ["", *columns], rows)


def _estimate(estimate: dict[str, Any], name: str, sign: str = "") -> str:
    low, high = (_short(estimate[bound], sign) for bound in ("low", "high"))
    return f"{_short(estimate[name], sign)} [{low}, {high}]" + ("" if estimate.get("judge_agrees", True) else " !")


def _short(value: float, sign: str = "") -> str:
    """Three decimals for small figures, one for large ones."""
    return f"{value:{sign}.3f}" if abs(value) < 10 else f"{value:{sign}.1f}"
