"""Whether the profiles of a set differ enough to be a choice: the promotion rule for `short`, `medium` and `long`.

By recorded evaluations of greedy answers, both to the held-out and to the validation questions:

- **lengths**: each profile's answers have at least 1.15 times the words of the one before it, and the 95 % interval of
  the ratio lies above 1
- **same answers**: no two profiles give the same answer to more than 10 % of the questions
- **own weights**: each profile earns more by its own weights than each other one does by them
"""

from collections.abc import Sequence
from itertools import combinations, pairwise, permutations
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from policies.manifest import VALIDATION, PolicyManifest
from policies.promotion.comparison import NotComparable, paired_difference
from rewards.statistics.agreement_with_people import bootstrap_interval, ratio

PROFILE_SET = ("short", "medium", "long")
"""In the order of their lengths."""
LONGER = 1.15
SAME = 0.1
_NEEDED = ("words", "reward", "answer")
"""Values by question that the rule reads."""
_MUST_AGREE = {
    "questions": "answered different questions",
    "rewards": "were scored by different reward models",
    "decoding": "were sampled differently",
}


class SetCheck(BaseModel):
    """One condition of the rule on one set of questions."""

    model_config = ConfigDict(frozen=True)

    questions: str
    """`held-out` or `validation`."""
    condition: str
    value: float
    low: float
    high: float
    """The value's 95 % interval, by a paired bootstrap over questions."""
    wanted: str
    holds: bool


def check_set(members: Sequence[PolicyManifest]) -> list[SetCheck]:
    """Every condition for profiles in the order of their lengths, on both sets of questions.

    Raises NotComparable when an evaluation is missing, or when two were not made in the same way.
    """
    held_out = [member.greedy_scores for member in members]
    validation = [member.scores.get(VALIDATION) or {} for member in members]
    return [
        check
        for questions, scores in (("held-out", held_out), ("validation", validation))
        for check in _checks(questions, members, _comparable(questions, members, scores))
    ]


def set_objection(members: Sequence[PolicyManifest]) -> str | None:
    """The sentence that refuses a set, if it is refused: what does not hold, or why it cannot be checked."""
    try:
        return broken(check_set(members))
    except NotComparable as error:
        return f"{error}; {error.remedy}."


def broken(checks: Sequence[SetCheck]) -> str | None:
    """The sentence about conditions that do not hold; None if all do."""
    failed = [check for check in checks if not check.holds]
    if not failed:
        return None
    first = failed[0]
    return (
        f"{len(failed)} of {len(checks)} conditions do not hold. The first: on the {first.questions} questions, "
        f"{first.condition} is {first.value:.3f}, not {first.wanted}. Keep the current versions, or train others."
    )


def _comparable(
    questions: str, members: Sequence[PolicyManifest], scores: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The values by question of each profile. Raises NotComparable."""
    names = [f"{member.profile}@{member.version}" for member in members]
    option = " --validation" if questions == "validation" else ""
    again = f"run `fgctl evaluate --record{option} {' '.join(f'--profile {name}' for name in names)}` and try again"
    for name, member, of in zip(names, members, scores, strict=True):
        if member.weights is None:
            raise NotComparable(f"{name} has no weights", "verify a set of profiles")
        if missing := [what for what in _NEEDED if what not in of.get("per_question", {})]:
            recorded = f"its recorded scores lack {' and '.join(missing)} by question" if of else "none is recorded"
            raise NotComparable(f"{name} has no evaluation on the {questions} questions to verify: {recorded}", again)
        for field, what in _MUST_AGREE.items():
            if of.get(field) != scores[0].get(field):
                raise NotComparable(f"On the {questions} questions, {name} and {names[0]} {what}", again)
    return [of["per_question"] for of in scores]


def _checks(questions: str, members: Sequence[PolicyManifest], values: Sequence[dict[str, Any]]) -> list[SetCheck]:
    of = dict(zip((member.profile for member in members), values, strict=True))
    checks = []
    for shorter, longer in pairwise(of):
        words = np.stack([of[longer]["words"], of[shorter]["words"]], axis=1).astype(np.float64)
        times, (low, high) = _of_sums(words)
        checks.append(
            SetCheck(
                questions=questions, condition=f"words of {longer} / {shorter}", value=times, low=low, high=high,
                wanted=f"at least {LONGER}, interval above 1", holds=times >= LONGER and low > 1,
            )
        )  # fmt: skip
    for a, b in combinations(of, 2):
        same = [float(mine == theirs) for mine, theirs in zip(of[a]["answer"], of[b]["answer"], strict=True)]
        share, (low, high) = _of_sums(np.stack([same, np.ones(len(same))], axis=1))
        checks.append(
            SetCheck(
                questions=questions, condition=f"same answers of {a} and {b}", value=share, low=low, high=high,
                wanted=f"at most {SAME}", holds=share <= SAME,
            )
        )  # fmt: skip
    for member, other in permutations(members, 2):
        mine, theirs = (_earned(of[m.profile], member) for m in (member, other))
        difference = paired_difference(mine, theirs)
        checks.append(
            SetCheck(
                questions=questions,
                condition=f"reward of {member.profile} - {other.profile}, by the weights of {member.profile}",
                value=difference.difference, low=difference.low, high=difference.high,
                wanted="above 0", holds=difference.difference > 0,
            )
        )  # fmt: skip
    return checks


def _of_sums(rows: Any) -> tuple[float, list[float]]:
    """The ratio of the sums of two columns over questions, and its interval; rows are [questions, 2]."""
    sums = rows.sum(0)
    return float(ratio(sums[0], sums[1])), bootstrap_interval(rows, lambda s: ratio(s[..., 0], s[..., 1]))


def _earned(per_question: dict[str, Any], member: PolicyManifest) -> list[float]:
    """The reward of each answer by a member's weights."""
    weights = member.weights.as_dict() if member.weights else {}
    streams = [weights.get(name, 0.0) * np.asarray(values) for name, values in per_question["reward"].items()]
    earned: list[float] = np.sum(streams, axis=0).tolist()
    return earned
