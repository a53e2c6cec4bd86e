"""Whether mixtures earn what lies between their anchors: mixtures at random weights, evaluated beside the anchors."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from policies.adapters.lora import LoraAdapter
from policies.base import BaseModel
from policies.mixing import Anchor, Mixture, anchors, mixture_for, store_mixture
from policies.store import PolicyStore
from policies.trunk import PolicyFiles, trunk_of
from policies.weights import Weights
from rewards.dataset import Example
from rewards.errors import FgctlError
from rewards.models.judge import Judge
from rewards.scorer import Scorer
from trainer.evaluation.answers import GREEDY, MAX_PROMPT_TOKENS
from trainer.evaluation.candidates import Candidate
from trainer.evaluation.evaluate import evaluate_policies
from trainer.experiments.experiment import RESULTS, write_json
from trainer.experiments.summary import FIGURES, at, is_complete
from trainer.tracking.checkpoint import claim_run


@dataclass(frozen=True)
class Mixing:
    """Which mixtures to evaluate, and the directory for results."""

    points: int
    """Number of mixtures, at random weights within what the anchors reach."""
    seed: int
    directory: Path


def run_mixing(
    mixing: Mixing,
    policies: PolicyStore,
    base: BaseModel,
    scorer: Scorer,
    judge: Judge,
    held_out: Sequence[Example],
    say: Callable[[str], None] = lambda sentence: None,
) -> dict[str, Any]:
    """Evaluate every anchor and mixture that is not done yet, by greedy answers. Returns the content of results.json.

    `points` has for each policy its weights, its anchors' shares, the evaluation's figures, and the anchors' figures
    mixed by the same shares (`expected`). After an interruption the same call continues. Raises FgctlError with fewer
    than two anchors, and when the directory holds another experiment.
    """
    trunk = trunk_of(base, policies)
    among = anchors(policies, trunk.digest)
    if len(among) < 2:
        raise FgctlError(
            "Mixtures need at least two promoted policies; train and promote some with `fgctl train --promote`."
        )
    settings = {
        "points": mixing.points,
        "seed": mixing.seed,
        "anchors": sorted(anchor.name for anchor in among),
        "rewards": scorer.version,
        "questions": [example.question for example in held_out],
    }
    claim_run(mixing.directory, settings)
    store = PolicyStore(mixing.directory / "policies")
    mixtures = [Mixture(anchor.weights, ((anchor, 1.0),)) for anchor in among]
    mixtures += [mixture_for(weights, among) for weights in draw_weights(among, mixing.points, mixing.seed)]
    evaluations = mixing.directory / "evaluations"
    evaluations.mkdir(exist_ok=True)
    rank = max(LoraAdapter(anchor.path).rank for anchor in among)
    stored = [_stored(store, mixture, rank, trunk) for mixture in mixtures]
    waiting = [policy for policy in stored if not is_complete(evaluations / f"{policy.version}.json")]
    reports = evaluate_policies(waiting, held_out, base, scorer, GREEDY, MAX_PROMPT_TOKENS, judge, perplexity=False)
    for policy, report in zip(waiting, reports, strict=True):
        say(f"{policy.name}@{policy.version} for {policy.weights}")
        write_json(evaluations / f"{policy.version}.json", report)
    points = []
    for mixture, policy in zip(mixtures, stored, strict=True):
        report = json.loads((evaluations / f"{policy.version}.json").read_text(encoding="utf-8"))
        points.append(
            {
                "version": policy.version,
                "anchor": mixture.anchor.name if mixture.anchor else None,
                "weights": mixture.served.as_dict(),
                "shares": {anchor.name: share for anchor, share in mixture.shares},
                "figures": {name: at(report, path) for name, path in FIGURES.items()},
                "intervals": {name: report["intervals"].get(".".join(path)) for name, path in FIGURES.items()},
            }
        )
    results = {"kind": "mixing", "points": with_expected(points)}
    write_json(mixing.directory / RESULTS, results)
    return results


def draw_weights(among: Sequence[Anchor], points: int, seed: int) -> list[Weights]:
    """Random weights that the anchors reach; the anchors' shares have a uniform Dirichlet distribution."""
    ordered = sorted(among, key=lambda anchor: anchor.manifest.version)
    shares = np.random.default_rng(seed).dirichlet(np.ones(len(ordered)), points)
    categories = sorted({name for anchor in ordered for name in anchor.weights.as_dict()})
    corners = np.array([[anchor.weights[name] for name in categories] for anchor in ordered])
    return [Weights(dict(zip(categories, row.tolist(), strict=True))) for row in shares @ corners]


def with_expected(points: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add to each point its anchors' mixed figures, and whether its own figures lie between the anchors'.

    `between` is true where a figure, or its 95 % interval, reaches the range of the anchors' figures.
    """
    by_name = {point["anchor"]: point["figures"] for point in points if point["anchor"]}
    completed = []
    for point in points:
        mine = [(by_name[name], share) for name, share in point["shares"].items()]
        expected = {name: sum(share * figures[name] for figures, share in mine) for name in FIGURES}
        between = {}
        for name, value in point["figures"].items():
            low, high = min(figures[name] for figures, _ in mine), max(figures[name] for figures, _ in mine)
            least, most = point["intervals"][name] or (value, value)
            between[name] = bool(least <= high and most >= low)
        completed.append(point | {"expected": expected, "between": between})
    return completed


def _stored(store: PolicyStore, mixture: Mixture, rank: int, trunk: BaseModel) -> Candidate:
    """Store a mixture in the experiment's own store; an anchor is stored as a mixture of itself alone."""
    manifest = store_mixture(store, mixture, rank)
    files = PolicyFiles(trunk, store.path(manifest.profile, manifest.version))
    return Candidate(manifest.profile, manifest.version, mixture.served, files)
