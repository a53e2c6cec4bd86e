"""An experiment's results: a table row for each arm, and comparisons of the training curves."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
from numpy.typing import NDArray

LAST = 1 / 3
"""Share of a run's steps that count as the end of training."""
_RESAMPLES = 5000
SMOOTH = 5
"""Steps a curve is averaged over."""

FIGURES: dict[str, tuple[str, ...]] = {
    "words": ("length", "words"),
    "R1 clean": ("clean_rate", "relevance"),
    "R2 clean": ("clean_rate", "factuality"),
    "R3": ("completeness",),
    "reward": ("weighted_reward",),
    "ROUGE-Lsum": ("rouge_lsum",),
    "repetition": ("repetition",),
    "copied": ("copied", "share"),
    "longest run": ("copied", "longest"),
    "judge R1 clean": ("judge", "clean_rate", "relevance"),
    "judge R2 clean": ("judge", "clean_rate", "factuality"),
    "judge R3": ("judge", "completeness"),
}
"""The path of each of a table's figures in an evaluation's report."""


def summarise(results: dict[str, Any]) -> list[dict[str, Any]]:
    """A row for each arm: means over its seeds, of the end of training and of the held-out evaluation.

    `training reward` is the mean reward, by the experiment's weights, over the last third of the steps. Every figure
    has the half width of its 95 % interval over seeds (Student's t), or None with a single seed.
    """
    rows = []
    for arm in dict.fromkeys(run["arm"] for run in results["runs"]):
        runs = [run for run in results["runs"] if run["arm"] == arm]
        figures = {"training reward": [ending(run) for run in runs]}
        figures |= {name: [at(run["evaluation"], path) for run in runs] for name, path in FIGURES.items()}
        rows.append(
            {"arm": arm, "seeds": len(runs), "episodes": runs[0]["episodes"]}
            | {name: {"mean": fmean(values), "half_width": half_width(values)} for name, values in figures.items()}
        )
    return rows


def ending(run: dict[str, Any]) -> float:
    """A run's mean reward over its last steps."""
    rewards = [step["reward"] for step in run["curve"]]
    return fmean(rewards[-max(1, math.ceil(LAST * len(rewards))) :])


def half_width(values: Sequence[float]) -> float | None:
    """Half the width of the mean's 95 % interval by Student's t; None for fewer than two values."""
    if len(values) < 2:
        return None
    from scipy.stats import t

    return float(t.ppf(0.975, len(values) - 1)) * stdev(values) / math.sqrt(len(values))


def ahead(results: dict[str, Any], arm: str, other: str) -> dict[str, float]:
    """How far an arm is ahead of another over the last third of the steps, at equal episodes.

    Steps are paired: with the same seed, both arms sample answers to the same questions. `low` and `high` are the 95 %
    interval of the mean difference, by a bootstrap over those steps.
    """
    paired = []
    for seed in {run["seed"] for run in results["runs"]}:
        a, b = (_curve(results, name, seed) for name in (arm, other))
        if a is not None and b is not None:
            steps = min(len(a), len(b))
            paired.append((a[:steps] - b[:steps])[-max(1, math.ceil(LAST * steps)) :])
    differences = np.concatenate(paired)
    rng = np.random.default_rng(0)
    means = rng.choice(differences, (_RESAMPLES, len(differences))).mean(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return {"difference": float(differences.mean()), "low": float(low), "high": float(high), "steps": len(differences)}


def catches_up(results: dict[str, Any], arm: str, other: str) -> dict[str, Any]:
    """After how many episodes an arm stays above the final level of another, and their share of the budget.

    Curves are smoothed, and averaged over seeds; `by_seed` has the same of each seed alone. None when it never stays
    above.
    """
    seeds = sorted({run["seed"] for run in results["runs"]})
    alone = [results | {"runs": [run for run in results["runs"] if run["seed"] == seed]} for seed in seeds]
    return _catches_up(results, arm, other) | {"by_seed": [_catches_up(part, arm, other) for part in alone]}


def _catches_up(results: dict[str, Any], arm: str, other: str) -> dict[str, float | None]:
    episodes = np.array([step["episodes"] for step in results["runs"][0]["curve"]], dtype=np.float64)
    first, second = (smooth(mean_curve(results, name)) for name in (arm, other))
    below = np.flatnonzero(first < second[-1])
    start = int(below[-1]) + 1 if len(below) else 0
    if start >= len(first):
        return {"episodes": None, "share": None}
    return {"episodes": float(episodes[start]), "share": float(episodes[start] / episodes[-1])}


def mean_curve(results: dict[str, Any], arm: str, key: str = "reward") -> NDArray[np.float64]:
    """An arm's curve, averaged over its seeds: float64 [steps]."""
    curves = [[step[key] for step in run["curve"]] for run in results["runs"] if run["arm"] == arm]
    steps = min(map(len, curves))
    mean: NDArray[np.float64] = np.mean([curve[:steps] for curve in curves], axis=0)
    return mean


def smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean of each value and up to SMOOTH - 1 before it."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    first = np.maximum(np.arange(len(values)) - SMOOTH + 1, 0)
    means: NDArray[np.float64] = (sums[1:] - sums[first]) / (np.arange(len(values)) + 1 - first)
    return means


def _curve(results: dict[str, Any], arm: str, seed: int) -> NDArray[np.float64] | None:
    for run in results["runs"]:
        if (run["arm"], run["seed"]) == (arm, seed):
            return np.array([step["reward"] for step in run["curve"]])
    return None


def is_complete(file: Path) -> bool:
    """Whether a stored report has every figure of the tables; one by an earlier version may lack some."""
    if not file.is_file():
        return False
    report = json.loads(file.read_text(encoding="utf-8"))
    try:
        return all(at(report, path) is not None for path in FIGURES.values())
    except KeyError:
        return False


def at(report: dict[str, Any], path: tuple[str, ...]) -> float:
    """A figure of an evaluation's report."""
    for key in path:
        report = report[key]
    return float(report)  # type: ignore[arg-type]
