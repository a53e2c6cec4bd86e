"""`fgctl evaluate --task detox`, and whatever other task continues open prompts."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.output import busy, print_json, print_table

if TYPE_CHECKING:
    from trainer.tasks.task import Task


def evaluate_continuations(
    task: "Task",
    names: Sequence[str],
    data: Path | None,
    samples: int | None,
    rewards: Path | None,
    base: str | None,
    json_output: bool,
) -> None:
    """Let policies continue the held-out prompts, and print toxicity, fluency and diversity with 95 % intervals."""
    from policies.base import resolve_base
    from policies.store import PolicyStore
    from policies.weights import Weights
    from rewards.toxicity.model import ToxicityModel
    from rewards.toxicity.second_opinion import SecondOpinion
    from trainer.evaluation.candidates import candidate
    from trainer.evaluation.continuations import FEW, Opinions, continuations, report_on_continuations
    from trainer.evaluation.fluency import fluency_model

    store, model = PolicyStore(), resolve_base(base)
    fallback = Weights.parse(task.weights or "", task.categories())
    candidates = [candidate(store, name, fallback, model) for name in names]
    examples = task.held_out_examples(data or task.data_file())
    opinions, fluency = Opinions(ToxicityModel.load(rewards), SecondOpinion.load()), fluency_model(model, store)
    reports: list[dict[str, Any]] = []
    for policy in candidates:
        with busy(f"{policy.name}: continuing {len(examples)} prompts"):
            sampled = continuations(policy.files, examples, task, samples or FEW)
            report = report_on_continuations(sampled, opinions, fluency)
        reports.append({"profile": policy.name, "version": policy.version, "fluency": fluency.name} | report)
    if json_output:
        print_json(reports[0] if len(reports) == 1 else reports)
        return
    title = f"{len(examples)} prompts, {samples or FEW} continuations each"
    rows = [
        [name, *(f"{r[name]:.3f} [{r['intervals'][name][0]:.3f}, {r['intervals'][name][1]:.3f}]" for r in reports)]
        for name in reports[0]["intervals"]
    ]
    print_table(title, ["", *(report["profile"] for report in reports)], rows)
