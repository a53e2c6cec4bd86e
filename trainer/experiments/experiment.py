"""Running an experiment: its arms are trained on the same questions for the same number of episodes, and evaluated.

Each arm and seed is a PPO run of its own in the experiment's directory. The policy store is there, too, so served
policies are not touched. After an interruption the same command continues: no finished run or evaluation is repeated.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policies.base import BaseModel
from policies.store import SFT, PolicyStore
from policies.store.replace_file import replace_file
from policies.trunk import policy_files
from policies.weights import Weights
from rewards.categories import Category
from rewards.dataset import Example
from rewards.models.judge import Judge
from rewards.scorer import Scorer
from trainer.evaluation.answers import GREEDY, MAX_PROMPT_TOKENS
from trainer.evaluation.candidates import Candidate
from trainer.evaluation.evaluate import evaluate_policies
from trainer.experiments.arms import Arm
from trainer.experiments.summary import is_complete
from trainer.ppo_run import PpoJob, train_policy
from trainer.recipe import Recipe, load_recipe
from trainer.tracking.checkpoint import claim_run
from trainer.tracking.run_log import METRICS
from trainer.validation.evaluation import Evaluation
from trainer.validation.validator import EVALUATIONS

RESULTS = "results.json"


@dataclass(frozen=True)
class Experiment:
    """What is compared, at which budget, and in which directory."""

    kind: str
    arms: tuple[Arm, ...]
    weights: Weights
    """The weights by which every arm is judged, whatever weights it was trained for."""
    seeds: int
    recipe_name: str
    overrides: tuple[str, ...]
    """Settings that apply to all arms."""
    budget: int
    """Least number of episodes of each run, which consists of whole steps."""
    data: Path
    directory: Path

    def recipe(self, arm: Arm, seed: int) -> Recipe:
        """The recipe of one run. Raises FgctlError for settings that do not exist."""
        common = load_recipe(self.recipe_name, self.overrides).ppo
        steps = -(-self.budget // (common.prompts_per_step * common.samples_per_prompt))
        return load_recipe(
            self.recipe_name, [*self.overrides, *arm.overrides, f"ppo.seed={seed}", f"ppo.steps={steps}"]
        )

    def runs(self) -> list[tuple[Arm, int]]:
        """Every arm with every seed; all arms of one seed come before the next, so that early results compare."""
        return [(arm, seed) for seed in range(self.seeds) for arm in self.arms]


def run_experiment(
    experiment: Experiment,
    parents: PolicyStore,
    base: BaseModel,
    scorer: Scorer,
    judge: Judge,
    held_out: Sequence[Example],
    say: Callable[[str], None] = lambda sentence: None,
) -> dict[str, Any]:
    """Train and evaluate every run that is not done yet. Returns the content of results.json.

    `parents` is the store with the supervised parent. A run's `evaluation` is the report on greedy answers to the
    held-out questions (trainer.evaluation.evaluate), its `curve` what its training logged, its `validation` what the
    evaluations on the validation questions said meanwhile. Raises FgctlError when the directory holds an experiment
    with other settings.
    """
    claim_run(experiment.directory, _settings(experiment, base, scorer, held_out))
    store = own_store(experiment.directory, parents)
    results: dict[str, Any] = {"kind": experiment.kind, "weights": experiment.weights.as_dict(), "runs": []}
    evaluations = experiment.directory / "evaluations"
    evaluations.mkdir(exist_ok=True)
    for arm, seed in experiment.runs():
        name = f"{arm.name}-{seed}"
        say(f"{arm.name}, seed {seed}")
        run = experiment.directory / name
        recipe = experiment.recipe(arm, seed)
        job = PpoJob(name, arm.weights, base, experiment.data, experiment.recipe_name, recipe, run)
        manifest = train_policy(job, store, scorer, load_judge=lambda: judge)
        report = evaluations / f"{name}-{manifest.version}.json"
        if not is_complete(report):
            files = policy_files(base, store, name, manifest.version)
            candidate = Candidate(name, manifest.version, experiment.weights, files)
            (evaluation,) = evaluate_policies(
                [candidate], held_out, base, scorer, GREEDY, MAX_PROMPT_TOKENS, judge, perplexity=False
            )
            write_json(report, evaluation)
        results["runs"].append(
            {
                "arm": arm.name,
                "seed": seed,
                "trained_by": arm.weights.as_dict(),
                "version": manifest.version,
                "episodes": manifest.episodes,
                "curve": curve(run, recipe, experiment.weights),
                "validation": validation_curve(run),
                "evaluation": json.loads(report.read_text(encoding="utf-8")),
            }
        )
        write_json(experiment.directory / RESULTS, results)
    return results


def curve(run: Path, recipe: Recipe, weights: Weights) -> list[dict[str, float]]:
    """A run's log by step: episodes so far, the reward by these weights, length, KL, each category's stream."""
    ppo = recipe.ppo
    steps = [json.loads(line) for line in (run / METRICS).read_text(encoding="utf-8").splitlines()]
    return [
        {
            "episodes": (int(step["step"]) + 1) * ppo.prompts_per_step * ppo.samples_per_prompt,
            "reward": sum(weights[name] * step[f"{name}/response"] for name in _streams(step)),
            "tokens": step["length/tokens"],
            "kl": step["kl/response"],
            **{name: step[f"{name}/response"] for name in _streams(step)},
        }
        for step in steps
    ]


def validation_curve(run: Path) -> list[dict[str, Any]]:
    """A run's evaluations on the validation questions (trainer.validation.evaluation), without values by question.

    Empty where the run was too short for any.
    """
    path = run / EVALUATIONS
    if not path.is_file():
        return []
    return [Evaluation.model_validate_json(line).figures() for line in path.read_text(encoding="utf-8").splitlines()]


def _streams(step: dict[str, float]) -> list[Category]:
    suffix = "/weighted_segment"
    return [name.removesuffix(suffix) for name in step if name.endswith(suffix)]


def _settings(experiment: Experiment, base: BaseModel, scorer: Scorer, held_out: Sequence[Example]) -> dict[str, Any]:
    return {
        "kind": experiment.kind,
        "arms": [[arm.name, arm.weights.as_dict(), arm.overrides] for arm in experiment.arms],
        "weights": experiment.weights.as_dict(),
        "recipe": recipe_settings(experiment.recipe_name, experiment.overrides),
        "base": base.digest,
        "rewards": scorer.version,
        "questions": [example.question for example in held_out],
    }


def recipe_settings(name: str, overrides: Sequence[str]) -> dict[str, Any]:
    """The settings of a recipe that all runs of an experiment have in common, as JSON values."""
    recipe = load_recipe(name, overrides)
    return recipe.model_dump(mode="json", exclude={"sft": True, "ppo": {"steps", "validation"}})


def own_store(directory: Path, parents: PolicyStore) -> PolicyStore:
    """An experiment's own store, with the supervised parent in it."""
    store = PolicyStore(directory / "policies")
    if SFT not in store.profiles():
        version = parents.profile(SFT).version
        store.adopt(parents.manifest(SFT, version), parents.verify(SFT, version))
        store.promote(SFT, version)
    return store


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON; a kill at any moment leaves the old content or the new."""
    replace_file(path, json.dumps(value, indent=1) + "\n")
