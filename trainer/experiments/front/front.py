"""Running `fgctl experiment front`: every method's trainings, and every point's policy, evaluated alike.

Each training is a PPO run of its own in the experiment's directory, and so is the policy store. A call may advance some
of the methods alone; results cover those that are finished. After an interruption the same call continues.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policies.base import BaseModel
from policies.mixing import Anchor, Mixture, store_mixture
from policies.store import PolicyStore
from policies.trunk import policy_files
from policies.weights import Weights
from rewards.dataset import Example
from rewards.models.judge import Judge
from rewards.scorer import Scorer
from trainer.evaluation.answers import GREEDY, MAX_PROMPT_TOKENS
from trainer.evaluation.candidates import Candidate
from trainer.evaluation.evaluate import evaluate_policies
from trainer.experiments.arms import Arm
from trainer.experiments.experiment import RESULTS, own_store, recipe_settings, write_json
from trainer.experiments.front.methods import Method
from trainer.experiments.front.results import results_of
from trainer.experiments.summary import is_complete
from trainer.ppo_run import PpoJob, train_policy
from trainer.recipe import Recipe, load_recipe
from trainer.tracking.checkpoint import claim_run


@dataclass(frozen=True)
class Front:
    """What is compared, at which budget, and in which directory."""

    methods: tuple[Method, ...]
    points: tuple[Weights, ...]
    budget: int
    """Least number of episodes of all trainings of a method with one seed; each training consists of whole steps."""
    seeds: int
    reference: tuple[float, ...]
    """The reference point of the hypervolume: a mean reward of each category."""
    recipe_name: str
    overrides: tuple[str, ...]
    data: Path
    directory: Path

    def recipe(self, method: Method, seed: int) -> Recipe:
        """The recipe of each of a method's trainings. Raises FgctlError for settings that do not exist."""
        common = load_recipe(self.recipe_name, self.overrides).ppo
        steps = max(1, -(-self.budget // (len(method.arms) * common.episodes_per_step)))
        return load_recipe(self.recipe_name, [*self.overrides, f"ppo.seed={seed}", f"ppo.steps={steps}"])


@dataclass(frozen=True)
class Means:
    """What trainings and evaluations need besides the front itself."""

    parents: PolicyStore
    """The store with the supervised parent."""
    base: BaseModel
    scorer: Scorer
    judge: Judge
    held_out: Sequence[Example]


def run_front(front: Front, means: Means, say: Callable[[str], None] = lambda sentence: None) -> dict[str, Any]:
    """Train, merge and evaluate what is not done yet of the front's methods. Returns the content of results.json.

    It covers all methods that the directory has finished for every seed. Raises FgctlError when the directory holds
    another experiment, and whatever training raises.
    """
    claim_run(front.directory, _settings(front, means))
    store = own_store(front.directory, means.parents)
    (front.directory / "points").mkdir(exist_ok=True)
    for seed in range(front.seeds):
        for method in front.methods:
            anchors = {arm.name: _trained(front, method, arm, seed, store, means, say) for arm in method.arms}
            points = [_merged(store, method, weights, seed, anchors, means.base) for weights in front.points]
            _evaluate(front, method, seed, points, means, say)
            _finish(front, method, seed, anchors, points)
    results = results_of(_finished(front), front.points, front.reference)
    write_json(front.directory / RESULTS, results)
    return results


def _trained(
    front: Front, method: Method, arm: Arm, seed: int, store: PolicyStore, means: Means, say: Callable[[str], None]
) -> Anchor:
    """One of a method's trainings, continued or finished before."""
    name = f"{arm.name}-{seed}"
    say(f"{name}, for the weights {arm.weights}")
    job = PpoJob(
        name, arm.weights, means.base, front.data, front.recipe_name, front.recipe(method, seed), front.directory / name
    )
    manifest = train_policy(job, store, means.scorer)
    return Anchor(manifest, store.path(name, manifest.version))


def _merged(
    store: PolicyStore, method: Method, weights: Weights, seed: int, anchors: dict[str, Anchor], base: BaseModel
) -> Candidate:
    """The policy for some weights: an anchor itself, or the exact sum of several."""
    coefficients = method.coefficients(weights)
    alone = next(iter(coefficients)) if list(coefficients.values()) == [1.0] else None
    if alone is not None:
        manifest = anchors[alone].manifest
    else:
        shares = tuple((anchors[name], share) for name, share in coefficients.items())
        manifest = store_mixture(store, Mixture(weights, shares), profile=f"{method.name.replace('.', '-')}-{seed}")
    files = policy_files(base, store, manifest.profile, manifest.version)
    return Candidate(manifest.profile, manifest.version, weights, files)


def _report(front: Front, method: Method, seed: int, candidate: Candidate) -> Path:
    return front.directory / "points" / f"{method.name}-{seed}-{candidate.version}.json"


def _evaluate(
    front: Front, method: Method, seed: int, points: Sequence[Candidate], means: Means, say: Callable[[str], None]
) -> None:
    """Greedy answers of each point's policy to the held-out questions, those that are not evaluated yet."""
    different = {point.version: point for point in points}
    waiting = [p for p in different.values() if not is_complete(_report(front, method, seed, p))]
    reports = evaluate_policies(
        waiting, means.held_out, means.base, means.scorer, GREEDY, MAX_PROMPT_TOKENS, means.judge, perplexity=False
    )
    for number, (point, report) in enumerate(zip(waiting, reports, strict=True), 1):
        write_json(_report(front, method, seed, point), report)
        say(f"{method.name}, seed {seed}: {number} of {len(waiting)} points evaluated")


def _finish(front: Front, method: Method, seed: int, anchors: dict[str, Anchor], points: Sequence[Candidate]) -> None:
    """Write a method's points of a seed in order, with their values by question: the mark that it is finished."""
    reports = [json.loads(_report(front, method, seed, point).read_text(encoding="utf-8")) for point in points]
    content = {
        "method": method.name,
        "seed": seed,
        "episodes": sum(anchor.manifest.episodes for anchor in anchors.values()),
        "trainings": len(anchors),
        "points": [
            {
                "version": point.version,
                "coefficients": method.coefficients(weights),
                "words": report["length"]["words"],
                "copied": report["copied"]["share"],
                "reward": report["per_question"]["reward"],
                "judge": report["per_question"]["judge"]["reward"],
            }
            for point, weights, report in zip(points, front.points, reports, strict=True)
        ],
    }
    write_json(front.directory / f"{method.name}-{seed}.json", content)


def _finished(front: Front) -> dict[str, list[dict[str, Any]]]:
    """The finished methods, by name, with the points of each seed."""
    finished: dict[str, list[dict[str, Any]]] = {}
    for seed in range(front.seeds):
        for path in sorted(front.directory.glob(f"*-{seed}.json")):
            content = json.loads(path.read_text(encoding="utf-8"))
            finished.setdefault(content["method"], []).append(content)
    return {name: seeds for name, seeds in finished.items() if len(seeds) == front.seeds}


def _settings(front: Front, means: Means) -> dict[str, Any]:
    """What all calls for a directory have in common; methods and seeds may be added."""
    return {
        "kind": "front",
        "points": [weights.as_dict() for weights in front.points],
        "budget": front.budget,
        "recipe": recipe_settings(front.recipe_name, front.overrides),
        "base": means.base.digest,
        "rewards": means.scorer.version,
        "questions": [example.question for example in means.held_out],
    }
