"""What the points of a front amount to: each method's figures with intervals, and paired differences between methods.

Intervals are 95 % percentile intervals of a bootstrap over questions, paired: a resample draws the same questions for
all methods and seeds. Figures are means over seeds.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policies.weights import Weights
from rewards.categories import BUILT_IN
from rewards.errors import FgctlError
from trainer.experiments.front.measures import above, hypervolume, nondominated, rank_agreement, sparsity

Matrix = NDArray[np.float64]

_CATEGORIES = tuple(BUILT_IN)
_RESAMPLES = 1000


def results_of(
    finished: Mapping[str, Sequence[Mapping[str, Any]]], points: Sequence[Weights], reference: Sequence[float]
) -> dict[str, Any]:
    """The content of results.json.

    `finished` holds each method's points, in the order of `points`, for each seed. `methods` are in the order of their
    hypervolume, the best first; `differences` are every method's hypervolume minus the best one's. `not_above` counts
    the points that add nothing to a hypervolume because they are not above the reference point. Raises FgctlError when
    evaluations have different numbers of questions.
    """
    asked = np.array([[weights[name] for name in _CATEGORIES] for weights in points])
    at = np.asarray(reference, dtype=np.float64)
    rewards = {name: _values(seeds, "reward") for name, seeds in finished.items()}
    judged = {name: _values(seeds, "judge") for name, seeds in finished.items()}
    counts = _draws({values.shape[2] for values in rewards.values()})
    volumes = {name: _volumes(counts, values, at) for name, values in rewards.items()}
    rows = [
        {
            "method": name,
            "seeds": len(finished[name]),
            "trainings": finished[name][0]["trainings"],
            "episodes": finished[name][0]["episodes"],
            "hypervolume": _estimate(_volumes(None, values, at)[0], volumes[name]),
            "judge_hypervolume": _estimate(_volumes(None, judged[name], at)[0], _volumes(counts, judged[name], at)),
            "rank_agreement": _agreement(asked, values, counts),
            "sparsity": float(np.mean([sparsity(front) for front in values.mean(2)])),
            "nondominated": float(np.mean([nondominated(front).sum() for front in values.mean(2)])),
            "not_above": {
                "reward": float((~above(values.mean(2), at)).sum(-1).mean()),
                "judge": float((~above(judged[name].mean(2), at)).sum(-1).mean()),
            },
            "points": _points(finished[name], values, points),
        }
        for name, values in rewards.items()
    ]
    rows.sort(key=lambda row: -row["hypervolume"]["value"])
    best = rows[0]["method"] if rows else None
    return {
        "kind": "front",
        "reference_point": dict(zip(_CATEGORIES, map(float, at), strict=True)),
        "best": best,
        "methods": rows,
        "differences": [
            {
                "method": row["method"],
                "from": best,
                **_estimate(
                    row["hypervolume"]["value"] - rows[0]["hypervolume"]["value"],
                    volumes[row["method"]] - volumes[str(best)],
                ),
            }
            for row in rows[1:]
        ],
    }  # fmt: skip


def _values(seeds: Sequence[Mapping[str, Any]], key: str) -> Matrix:
    """float64 [seeds, points, questions, categories]"""
    return np.array([[[point[key][name] for name in _CATEGORIES] for point in s["points"]] for s in seeds]).swapaxes(
        2, 3
    )


def _draws(sizes: set[int]) -> Matrix:
    """float64 [resamples, questions]: the weight of each question in a resample."""
    if not sizes:
        return np.zeros((0, 0))
    if len(sizes) > 1:
        raise FgctlError("The methods were evaluated on different questions; name another directory with --out.")
    (questions,) = sizes
    drawn = np.random.default_rng(0).multinomial(questions, np.full(questions, 1 / questions), size=_RESAMPLES)
    return np.asarray(drawn / questions)


def _volumes(counts: Matrix | None, values: Matrix, reference: Matrix) -> Matrix:
    """float64 [resamples]: the hypervolume, averaged over seeds; of all questions without `counts`."""
    if counts is None:
        counts = np.full((1, values.shape[2]), 1 / values.shape[2])
    fronts = np.einsum("bq,spqk->bspk", counts, values)
    return np.array([np.mean([hypervolume(front, reference) for front in seeds]) for seeds in fronts])


def _agreement(asked: Matrix, values: Matrix, counts: Matrix) -> dict[str, Any]:
    """Rank agreement in all categories, with its interval, and in each."""
    by_category = rank_agreement(asked, values.mean(2)).mean(0)
    resampled = rank_agreement(asked, np.einsum("bq,spqk->bspk", counts, values)).mean((1, 2))
    return _estimate(float(by_category.mean()), resampled) | {
        "categories": dict(zip(_CATEGORIES, map(float, by_category), strict=True))
    }


def _points(seeds: Sequence[Mapping[str, Any]], values: Matrix, points: Sequence[Weights]) -> list[dict[str, Any]]:
    """The points of all seeds, with their mean rewards."""
    return [
        {
            "weights": weights.as_dict(),
            "seed": of_seed["seed"],
            "version": point["version"],
            "coefficients": point["coefficients"],
            "words": point["words"],
            "copied": point["copied"],
            "reward": dict(zip(_CATEGORIES, map(float, values[s, p].mean(0)), strict=True)),
        }
        for s, of_seed in enumerate(seeds)
        for p, (weights, point) in enumerate(zip(points, of_seed["points"], strict=True))
    ]


def _estimate(value: float, resampled: Matrix) -> dict[str, float]:
    low, high = np.quantile(resampled, [0.025, 0.975])
    return {"value": float(value), "low": float(low), "high": float(high)}
