"""What verdicts amount to: Bradley-Terry ratings, win rates, also at equal length, and position bias.

By the Bradley-Terry model (1952) `a` beats `b` with the probability `1 / (1 + exp(t_b - t_a))`; `choix` fits the
strengths `t`. A tie is half a win for each, as are both bad. Every pair begins with one tie that nobody saw, without
which a contestant that always wins would be infinitely strong. A rating is `1000 + 400 / ln 10 (t - mean t)`, so that
100 points are a chance of .64. All verdicts of a judge on one match weigh together as one.

Intervals are 95 % percentile intervals by a bootstrap over questions: the matches of one question are not independent.
Only questions with a verdict are drawn, or few of them would hardly ever be among those drawn.
"""

from collections.abc import Mapping, Sequence
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rewards.statistics.agreement_with_people import bootstrap_interval, ratio
from trainer.arena.matches import SCORE, Match, Verdict
from trainer.evaluation.intervals import Metric, at_equal_length

Matrix = NDArray[np.float64]

_RESAMPLES = 500
_SCALE = 400 / log(10)
_CENTRE = 1000.0
_UNSEEN = 0.5
"""Wins of each over the other in the tie that nobody saw."""


def summarise(
    names: Sequence[str],
    questions: int,
    matches: Sequence[Match],
    verdicts: Sequence[Verdict],
    words: Mapping[str, Any],
) -> dict[str, Any]:
    """Ratings, win rates and position bias of one judge.

    `words` holds the lengths of the answers by contestant, question and seed, of which those to the questions of the
    matches count. Equal texts, on which there is no
    verdict, are ties. Matches without a verdict that could be read do not count.
    """
    played = _played(matches, verdicts)
    wins = wins_by_question(names, questions, played)
    strengths = strengths_of(wins.sum(0))
    drawn = _resampled(wins)
    asked = sorted({match.question for match in matches})
    rows = []
    for i, name in enumerate(names):
        low, high = np.quantile(drawn[:, i], [0.025, 0.975])
        rows.append(
            {
                "name": name, "rating": _rating(strengths)[i], "low": float(low), "high": float(high),
                "words": float(np.mean([length for question in asked for length in words[name][question]])),
                **_counts(name, played),
            }
        )  # fmt: skip
    return {
        "matches": len(played),
        "unread": sum(verdict.choice is None for verdict in verdicts),
        "contestants": sorted(rows, key=lambda row: -row["rating"]),
        "pairs": [
            _pair(a, b, questions, played, words) for k, a in enumerate(names) for b in names[k + 1 :]
        ],
        "position": position_bias(questions, matches, verdicts),
        "agreement_of_orders": _agreement_of_orders(verdicts),
    }  # fmt: skip


class _Outcome:
    """A match with the verdicts on it: the mean of what they are worth for `a`."""

    def __init__(self, match: Match, choices: Sequence[str]) -> None:
        self.match, self.choices = match, choices
        self.score = float(np.mean([SCORE[choice] for choice in choices]))


def _played(matches: Sequence[Match], verdicts: Sequence[Verdict]) -> list[_Outcome]:
    choices: dict[str, list[str]] = {}
    for verdict in verdicts:
        if verdict.choice is not None:
            choices.setdefault(verdict.match, []).append(verdict.choice)
    return [_Outcome(match, choices[match.key]) for match in matches if match.key in choices]


def wins_by_question(names: Sequence[str], questions: int, played: Sequence[Any]) -> Matrix:
    """float64 [questions, contestants, contestants]: how often the row's contestant beats the column's."""
    place = {name: i for i, name in enumerate(names)}
    wins = np.zeros((questions, len(names), len(names)))
    for outcome in played:
        a, b = place[outcome.match.a], place[outcome.match.b]
        wins[outcome.match.question, a, b] += outcome.score
        wins[outcome.match.question, b, a] += 1 - outcome.score
    return wins


def strengths_of(wins: Matrix) -> Matrix:
    """float64 [contestants]: the strengths with the highest likelihood, their mean zero; `wins` is [K, K]."""
    import choix

    unseen = _UNSEEN * (1 - np.eye(len(wins)))
    fitted = np.asarray(choix.ilsr_pairwise_dense(wins + unseen, max_iter=1000, tol=1e-6), dtype=np.float64)
    return np.asarray(fitted - fitted.mean())


def _rating(strengths: Matrix) -> list[float]:
    return [float(value) for value in _CENTRE + _SCALE * strengths]


def _resampled(wins: Matrix) -> Matrix:
    """float64 [resamples, contestants]: ratings by questions drawn with replacement, with a fixed seed."""
    wins = wins[wins.any(axis=(1, 2))]
    if not (questions := len(wins)):
        return np.full((1, wins.shape[1]), _CENTRE)
    counts = np.random.default_rng(0).multinomial(questions, np.full(questions, 1 / questions), size=_RESAMPLES)
    sums = np.tensordot(counts.astype(np.float64), wins, axes=1)
    return np.array([_rating(strengths_of(drawn)) for drawn in sums])


def _counts(name: str, played: Sequence[_Outcome]) -> dict[str, float]:
    """How many of a contestant's matches were won, lost, tied and both bad; a match with two verdicts counts halves."""
    counts = {"won": 0.0, "lost": 0.0, "tied": 0.0, "both_bad": 0.0}
    for outcome in played:
        if name not in (outcome.match.a, outcome.match.b):
            continue
        mine = "a" if name == outcome.match.a else "b"
        for choice in outcome.choices:
            what = {"tie": "tied", "neither": "both_bad", mine: "won"}.get(choice, "lost")
            counts[what] += 1 / len(outcome.choices)
    return counts


def _pair(a: str, b: str, questions: int, played: Sequence[_Outcome], words: Mapping[str, Any]) -> dict[str, Any]:
    """How often `a` beats `b`, a tie counting half: over all their matches, and at equal length.

    At equal length is the intercept of the least-squares line through the win rates by question and the differences in
    words (trainer.evaluation.intervals).
    """
    mine = [outcome for outcome in played if (outcome.match.a, outcome.match.b) == (a, b)]
    rows = np.zeros((questions, 2))
    longer = np.zeros(questions)
    for outcome in mine:
        question, seed = outcome.match.question, outcome.match.seed
        rows[question] += (outcome.score, 1)
        longer[question] += words[a][question][seed] - words[b][question][seed]
    judged = rows[:, 1] > 0
    rows, longer = rows[judged], longer[judged] / rows[judged, 1]
    half = Metric(rows[:, 1] / 2, rows[:, 1])
    at_equal = at_equal_length(Metric(rows[:, 0], rows[:, 1]), half, longer)
    return {
        "a": a,
        "b": b,
        "matches": len(mine),
        "win_rate": _share(rows),
        "at_equal_length": {
            "share": 0.5 + at_equal["difference"], "low": 0.5 + at_equal["low"], "high": 0.5 + at_equal["high"],
        },
    }  # fmt: skip


def position_bias(questions: int, matches: Sequence[Match], verdicts: Sequence[Verdict]) -> dict[str, float] | None:
    """The share of verdicts for the text that was shown first, of those that prefer one; 0.5 without bias.

    None where no text was shown before the other.
    """
    question = {match.key: match.question for match in matches}
    rows = np.zeros((questions, 2))
    for verdict in verdicts:
        if verdict.first is not None and verdict.choice in ("a", "b") and verdict.match in question:
            rows[question[verdict.match]] += (verdict.choice == verdict.first, 1)
    return _share(rows) | {"verdicts": float(rows[:, 1].sum())} if rows.any() else None


def _agreement_of_orders(verdicts: Sequence[Verdict]) -> float | None:
    """The share of matches on which a judge says the same in both orders; None where none was asked in both."""
    by_match: dict[tuple[str, str], dict[Any, Any]] = {}
    for verdict in verdicts:
        if verdict.choice is not None:
            by_match.setdefault((verdict.match, verdict.who), {})[verdict.first] = verdict.choice
    both = [len(set(choices.values())) == 1 for choices in by_match.values() if {"a", "b"} <= choices.keys()]
    return float(np.mean(both)) if both else None


def _share(rows: Matrix) -> dict[str, float]:
    """The ratio of the sums of two columns over questions, with its interval; 0 without questions that count."""
    rows = rows[rows[:, 1] > 0]
    sums = rows.sum(0)
    low, high = bootstrap_interval(rows, lambda s: ratio(s[..., 0], s[..., 1]))
    return {"share": float(ratio(sums[0], sums[1])), "low": low, "high": high}
