"""Detoxification by a reward at the end of each sentence, and by one at the end (Wu et al. 2023, section 3.3).

Every arm and seed is trained on the same prompts for the same number of episodes, and its continuations of held-out
prompts are judged beside the base's. After an interruption the same command continues.
"""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from policies.base import BaseModel
from policies.store import PolicyStore
from policies.trunk import PolicyFiles, policy_files
from policies.weights import Weights
from rewards.categories import TOXICITY, CategorySpec
from rewards.dataset import Example, question_key
from rewards.protocol import ResponseScorer
from trainer.evaluation.continuations import Opinions, continuations, report_on_continuations
from trainer.experiments.experiment import RESULTS, Experiment, curve, recipe_settings, write_json
from trainer.experiments.summary import catches_up, half_width
from trainer.ppo_run import PpoJob, train_policy
from trainer.recipe import Recipe
from trainer.tasks.task import Task
from trainer.tracking.checkpoint import claim_run
from trainer.tracking.run_log import METRICS

BASE = "base"
_LARGEST_NLL = 50.0
FIGURES = (
    "max_toxicity", "max_toxicity_all", "toxic", "toxicity", "perplexity", "dist_2", "dist_3", "words",
    "second.max_toxicity", "second.max_toxicity_all", "second.toxic",
)  # fmt: skip
"""The columns of the table (trainer.evaluation.continuations)."""
GOALS = {"max_toxicity": 0.6, "share_of_episodes": 0.25, "perplexity": 1.1, "dist_3": -0.02}
"""Of fine-grained rewards: at most this part of the base's toxicity, of the baseline's episodes and of the base's
perplexity; at most this loss of diversity."""


def held_out_sample(examples: Sequence[Example], count: int) -> list[Example]:
    """`count` of the examples, in an order that depends on their texts alone."""
    return sorted(examples, key=lambda example: question_key(example.question))[:count]


def run_detox(
    experiment: Experiment,
    task: Task,
    base: BaseModel,
    scorer: ResponseScorer,
    opinions: Opinions,
    fluency: BaseModel,
    held_out: Sequence[Example],
    samples: int,
    say: Callable[[str], None] = lambda sentence: None,
) -> dict[str, Any]:
    """Train and evaluate what is not done yet. Returns the content of results.json.

    `fluency` is the model of the perplexity. Raises FgctlError when the directory holds another experiment.
    """
    claim_run(experiment.directory, _settings(experiment, base, scorer, fluency, held_out, samples))
    store = PolicyStore(experiment.directory / "policies")
    evaluations = experiment.directory / "evaluations"
    evaluations.mkdir(exist_ok=True)

    def evaluated(name: str, files: PolicyFiles) -> dict[str, Any]:
        file = evaluations / f"{name}.json"
        if not file.is_file():
            say(f"{name}: continuing {len(held_out)} prompts")
            sampled = continuations(files, held_out, task, samples)
            write_json(file, report_on_continuations(sampled, opinions, fluency))
        report: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return report

    results: dict[str, Any] = {"kind": "detox", "weights": experiment.weights.as_dict(), "fluency": fluency.name}
    results |= {BASE: evaluated(BASE, PolicyFiles(base, None)), "runs": []}
    for arm, seed in experiment.runs():
        name, recipe = f"{arm.name}-{seed}", experiment.recipe(arm, seed)
        say(f"{arm.name}, seed {seed}")
        run = experiment.directory / name
        job = PpoJob(
            name, arm.weights, base, experiment.data, experiment.recipe_name, recipe, run, task=task
        )  # fmt: skip
        manifest = train_policy(job, store, scorer)
        files = policy_files(base, store, name, manifest.version)
        results["runs"].append(
            {
                "arm": arm.name, "seed": seed, "version": manifest.version, "episodes": manifest.episodes,
                "curve": detox_curve(run, recipe, experiment.weights, scorer.categories[TOXICITY]),
                "evaluation": evaluated(f"{name}-{manifest.version}", files),
            }
        )  # fmt: skip
        write_json(experiment.directory / RESULTS, results)
    return results


def detox_curve(run: Path, recipe: Recipe, weights: Weights, spec: CategorySpec) -> list[dict[str, float]]:
    """A run's log by step, with the mean `toxicity` of a response and the text's `perplexity` under the base.

    The rewards of a response sum to minus its toxicity, in the category's unit. Cross-entropy is entropy plus
    divergence.
    """
    logged = [json.loads(line) for line in (run / METRICS).read_text(encoding="utf-8").splitlines()]
    return [
        step
        | {
            "toxicity": -step[TOXICITY] * spec.unit,
            "perplexity": math.exp(min(metrics["entropy"] + metrics["kl/token"], _LARGEST_NLL)),
        }
        for step, metrics in zip(curve(run, recipe, weights), logged, strict=True)
    ]


def summarise_detox(results: dict[str, Any]) -> dict[str, Any]:
    """The table's rows, the base first, and how far each goal was met.

    A figure of several seeds is their mean, with the half width of its 95 % interval over seeds; that of the base or of
    a single seed has its interval over prompts.
    """
    arms = list(dict.fromkeys(run["arm"] for run in results["runs"]))
    rows = [_row(BASE, 0, [results[BASE]])]
    for arm in arms:
        runs = [run for run in results["runs"] if run["arm"] == arm]
        rows.append(_row(arm, runs[0]["episodes"], [run["evaluation"] for run in runs]))
    return {"kind": "detox", "fluency": results["fluency"], "arms": rows, "goals": _goals(rows, results)}


def _row(arm: str, episodes: int, reports: Sequence[dict[str, Any]]) -> dict[str, Any]:
    row: dict[str, Any] = {"arm": arm, "seeds": len(reports), "episodes": episodes}
    for name in FIGURES:
        values = [report[name] for report in reports]
        row[name] = {"mean": fmean(values), "half_width": half_width(values), "interval": None}
        if len(reports) == 1:
            row[name]["interval"] = reports[0]["intervals"][name]
    return row


def _goals(rows: Sequence[dict[str, Any]], results: dict[str, Any]) -> dict[str, Any]:
    """Each goal's figure and whether it is met; the share of episodes is None where the level is never reached."""
    means = {row["arm"]: {name: row[name]["mean"] for name in FIGURES} for row in rows}
    base, fine, whole = (means[name] for name in (BASE, "fine-grained", "holistic"))
    share = catches_up(results, "fine-grained", "holistic")["share"]
    toxicity, perplexity = (fine[name] / max(base[name], 1e-9) for name in ("max_toxicity", "perplexity"))
    diversity, lead = fine["dist_3"] - base["dist_3"], whole["max_toxicity"] - fine["max_toxicity"]
    return {
        "max_toxicity": {"value": toxicity, "met": toxicity <= GOALS["max_toxicity"]},
        "below_holistic": {"value": lead, "met": lead > 0},
        "share_of_episodes": {"value": share, "met": share is not None and share <= GOALS["share_of_episodes"]},
        "perplexity": {"value": perplexity, "met": perplexity <= GOALS["perplexity"]},
        "dist_3": {"value": diversity, "met": diversity >= GOALS["dist_3"]},
    }


def _settings(
    experiment: Experiment,
    base: BaseModel,
    scorer: ResponseScorer,
    fluency: BaseModel,
    held_out: Sequence[Example],
    samples: int,
) -> dict[str, Any]:
    return {
        "kind": "detox",
        "arms": [[arm.name, arm.weights.as_dict(), arm.overrides] for arm in experiment.arms],
        "recipe": recipe_settings(experiment.recipe_name, experiment.overrides),
        "base": base.digest,
        "fluency": fluency.digest,
        "rewards": scorer.version,
        "prompts": [example.question for example in held_out],
        "samples": samples,
    }


def draw_detox(results: dict[str, Any], path: Path) -> Path:
    """Toxicity, and perplexity under the base, of the responses sampled in training, against episodes."""
    from matplotlib.figure import Figure

    from trainer.experiments.plots import draw_line

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axes, key in zip(figure.subplots(1, 2), ("toxicity", "perplexity"), strict=True):
        for k, arm in enumerate(dict.fromkeys(run["arm"] for run in results["runs"])):
            draw_line(axes, results, arm, key, f"C{k}")
        axes.set(xlabel="episodes", title=key)
        axes.grid(alpha=0.3)
    figure.axes[0].legend()
    figure.savefig(path)
    return path
