"""95 % intervals of an evaluation's figures, and paired differences between policies on the same questions.

Every figure is a function of a ratio of two sums over questions: a mean divides values by questions, a clean rate
errors by segments. So one bootstrap over questions (`bootstrap_interval` of rewards.statistics.agreement_with_people)
serves all figures. For differences it is paired: a resample draws the same questions for both policies (Koehn 2004).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rewards.errors import FgctlError
from rewards.statistics.agreement_with_people import bootstrap_interval, ratio

Matrix = NDArray[np.float64]
_SUMMED = frozenset({"segments", "errors", "nll_tokens"})


@dataclass(frozen=True)
class Metric:
    """A figure over Q questions: `of(sum(part) / sum(whole))`."""

    part: Matrix
    """float64 [Q]"""
    whole: Matrix
    """float64 [Q]"""
    of: Callable[[Matrix], Matrix] = np.asarray

    @property
    def rows(self) -> Matrix:
        """The values to sum over questions: float64 [Q, 2]."""
        return np.stack([self.part, self.whole], axis=1)

    def at(self, sums: Matrix) -> Matrix:
        """The figure of summed rows: float64 [..., 2] to [...]."""
        return self.of(ratio(sums[..., 0], sums[..., 1]))


def metrics(per_question: Mapping[str, Any], weights: Mapping[str, float]) -> dict[str, Metric]:
    """Every figure that has an interval, by its dotted name, from a report's `per_question`; `judge.…` with a judge.

    `weights` weigh the categories' rewards. A clean rate without segments is 1, and so is a perplexity without tokens.
    Copied words, and the judge's reward, are missing from older reports; perplexity where it was not asked for.
    """
    judge = per_question["judge"]
    return {
        **_judgements(per_question, weights),
        "length.words": _mean(per_question["words"]),
        "rouge_lsum": _mean(per_question["rouge_lsum"]),
        "repetition": _mean(per_question["repetition"]),
        **{f"copied.{name}": _mean(values) for name, values in per_question.get("copied", {}).items()},
        "truncated": _mean(per_question["truncated"]),
        **_perplexity(per_question),
        **({f"judge.{name}": metric for name, metric in _judgements(judge, weights).items()} if judge else {}),
    }


def _perplexity(per_question: Mapping[str, Any]) -> dict[str, Metric]:
    """The perplexity, where it was asked for."""
    if per_question["nll"] is None:
        return {}
    tokens = np.asarray(per_question["nll_tokens"], dtype=np.float64)
    return {"perplexity": Metric(np.asarray(per_question["nll"]) * tokens, tokens, np.exp)}


def _judgements(per_question: Mapping[str, Any], weights: Mapping[str, float]) -> dict[str, Metric]:
    """The figures that reward models and judge have in common."""
    rates = {
        f"clean_rate.{category}": Metric(
            np.asarray(errors, dtype=np.float64),
            np.asarray(per_question["segments"][category], dtype=np.float64),
            lambda share: 1 - share,
        )
        for category, errors in per_question["errors"].items()
    }
    earned = [weights.get(name, 0.0) * np.asarray(values) for name, values in per_question.get("reward", {}).items()]
    reward = {"weighted_reward": _mean(np.sum(earned, axis=0))} if earned else {}
    return rates | {"completeness": _mean(per_question["completeness"])} | reward


def _mean(values: Sequence[float] | Matrix) -> Metric:
    return Metric(np.asarray(values, dtype=np.float64), np.ones(len(values)))


def by_question(per_response: Mapping[str, Any], samples: int) -> dict[str, Any]:
    """Values by question, from values by response with `samples` consecutive responses to each question.

    Numbers of segments, errors and tokens are summed. Other values are averaged, `nll` over all tokens.
    """
    if samples == 1:
        return dict(per_response)

    def aggregate(name: str, values: Any) -> Any:
        if values is None:
            return None
        if isinstance(values, Mapping):
            return {key: aggregate(name if name in _SUMMED else key, inner) for key, inner in values.items()}
        rows = np.asarray(values, dtype=np.float64).reshape(-1, samples)
        if name in _SUMMED:
            return rows.sum(1).astype(int).tolist()
        if name == "nll":
            tokens = np.asarray(per_response["nll_tokens"], dtype=np.float64).reshape(-1, samples)
            return ratio((rows * tokens).sum(1), tokens.sum(1)).round(4).tolist()
        return rows.mean(1).round(4).tolist()

    return {name: aggregate(name, values) for name, values in per_response.items()}


def intervals(report: Mapping[str, Any]) -> dict[str, list[float]]:
    """The 95 % interval of each figure of a report, by its dotted name: `[low, high]`."""
    return {
        name: bootstrap_interval(metric.rows, metric.at)
        for name, metric in metrics(report["per_question"], report["weights"]).items()
    }


def comparison(report: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Differences between two reports on the same questions, each with its paired 95 % interval.

    `differences` are this report's figures minus the other's. Both weighted rewards use this report's weights, as sums
    by different weights are different quantities. `judge_agrees` says whether the judge's difference has the same
    sign. `length_ratio` is the ratio of the mean words, `length_controlled` the differences at equal length, and
    `same_answers` the share of questions to which both give the same answer, None for older reports.

    Raises FgctlError when the reports have different questions or different reward models.
    """
    for field, what in (("questions", "answered different questions"), ("rewards", "have different reward models")):
        if report[field] != other[field]:
            raise FgctlError(
                f"The reports of {_named(report)} and {_named(other)} {what}; evaluate both by one `fgctl evaluate`."
            )
    mine, theirs = (metrics(side["per_question"], report["weights"]) for side in (report, other))
    names = [name for name in mine if name in theirs]
    differences: dict[str, dict[str, Any]] = {name: _difference(mine[name], theirs[name]) for name in names}
    for name, estimate in differences.items():
        if by_judge := differences.get(f"judge.{name}"):
            estimate["judge_agrees"] = bool(np.sign(estimate["difference"]) == np.sign(by_judge["difference"]))
    words, theirs_words = mine["length.words"].part, theirs["length.words"].part
    return {
        "profile": other["profile"],
        "version": other["version"],
        "differences": differences,
        "length_ratio": _estimate(
            "ratio", np.stack([words, theirs_words], axis=1), lambda sums: ratio(sums[..., 0], sums[..., 1])
        ),
        "length_controlled": {
            name: at_equal_length(mine[name], theirs[name], words - theirs_words)
            for name in names
            if name == "weighted_reward" or name.startswith("judge.")
        },
        "same_answers": _same_answers(report["per_question"].get("answer"), other["per_question"].get("answer")),
    }


def _same_answers(mine: Sequence[str] | None, theirs: Sequence[str] | None) -> dict[str, float] | None:
    if mine is None or theirs is None:
        return None
    same = _mean([float(a == b) for a, b in zip(mine, theirs, strict=True)])
    return _estimate("share", same.rows, same.at)


def _difference(mine: Metric, other: Metric) -> dict[str, float]:
    rows = np.concatenate([mine.rows, other.rows], axis=1)
    return _estimate("difference", rows, lambda sums: mine.at(sums[..., :2]) - other.at(sums[..., 2:]))


def at_equal_length(mine: Metric, other: Metric, longer: Matrix) -> dict[str, float]:
    """A difference at equal length, with its 95 % interval.

    It is the intercept `a` of the least-squares line `y = a + b x` over questions, where `y` is the difference on a
    question and `x`, `longer` [Q], the difference in words; Dubois et al. (2024) do the same for AlpacaEval with a
    generalised linear model. Questions on which either metric divides by zero are left out; `b` is 0 where all `x` are
    equal.
    """
    usable = (mine.whole > 0) & (other.whole > 0)
    y = mine.at(mine.rows) - other.at(other.rows)
    rows = np.stack([np.ones(len(y)), longer, y, longer * longer, longer * y], axis=1) * usable[:, None]
    return _estimate("difference", rows, _intercept)


def _intercept(sums: Matrix) -> Matrix:
    """The intercept, from sums [..., (n, x, y, xx, xy)]."""
    n, x, y, xx, xy = (sums[..., i] for i in range(5))
    slope = ratio(n * xy - x * y, n * xx - x * x)
    return ratio(y - slope * x, n)


def _estimate(name: str, rows: Matrix, statistic: Callable[[Matrix], Matrix]) -> dict[str, float]:
    """A statistic of the rows' sums under that name, and its interval."""
    low, high = bootstrap_interval(rows, statistic)
    return {name: round(float(statistic(rows.sum(0))), 4), "low": low, "high": high}


def _named(report: Mapping[str, Any]) -> str:
    return f"{report['profile']}@{report['version']}"
