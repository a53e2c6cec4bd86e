"""Which of a run's evaluations is the best, and when the run may end.

**The best** violates the fewest guards (trainer.validation.guards), and among those with equally few it has the highest
validation reward; of equal ones it is the earliest. Where these copy too much, a lower reward is as good if it lies
within one standard error of the highest (of the mean difference by question; the rule of one standard error, Breiman et
al. 1984, Classification and Regression Trees), and of those as good the best copies least. The parent, before the first
step, is not a candidate.

**The end** comes when for `patience` episodes nothing has improved. An improvement is a validation reward or a judge's
reward above that of every evaluation before, or less copying than ever before, where copying violates its guard. An
evaluation that violates a guard is no improvement, nor are others compared with it, with one exception: where the
parent itself copies too much, so may its descendants, or the run that teaches them to copy less would end before they
do.
"""

from collections.abc import Sequence

import numpy as np

from trainer.validation.evaluation import Evaluation

RULE = (
    "fewest violated guards, then highest validation reward, then earliest; where copying violates its guard, the "
    "least copying within one standard error of the highest reward"
)


def best(evaluations: Sequence[Evaluation]) -> Evaluation | None:
    """The best evaluation of a trained policy; None before the first."""
    chosen = highest = None
    # One after the other, because only the checkpoint of the best so far is kept.
    for now in (evaluation for evaluation in evaluations if evaluation.step > 0):
        if chosen is None or highest is None or len(now.violations) < len(chosen.violations):
            chosen = highest = now
        elif len(now.violations) == len(chosen.violations):
            highest = max(highest, now, key=lambda e: e.reward)
            if "copied" in now.violations and "copied" in chosen.violations:
                as_good = _as_good(now, highest) and (now.copied < chosen.copied or not _as_good(chosen, highest))
                chosen = now if as_good else chosen
            else:
                chosen = now if now.reward > chosen.reward else chosen
    return chosen


def _as_good(evaluation: Evaluation, highest: Evaluation) -> bool:
    """Whether a reward lies within one standard error of the highest."""
    differences = np.subtract(highest.rewards, evaluation.rewards)
    error = float(differences.std(ddof=1)) / len(differences) ** 0.5 if len(differences) > 1 else 0.0
    return highest.reward - evaluation.reward <= error


def last_improvement(evaluations: Sequence[Evaluation]) -> int:
    """The episodes of the last evaluation at which reward or judge rose, or excessive copying fell; 0 if none did."""
    if not evaluations:
        return 0
    episodes, reward, judge, copied = 0, float("-inf"), float("-inf"), float("inf")
    excused = {"copied"} & evaluations[0].violations.keys()
    for evaluation in evaluations:
        if evaluation.violations.keys() - excused:
            continue
        copies_less = "copied" in evaluation.violations and evaluation.copied < copied
        if evaluation.reward > reward or evaluation.judge > judge or copies_less:
            episodes = evaluation.episodes
        reward, judge = max(reward, evaluation.reward), max(judge, evaluation.judge)
        copied = min(copied, evaluation.copied)
    return episodes


def end(evaluations: Sequence[Evaluation], patience: int) -> str | None:
    """Why a run may end after its last evaluation, as a clause; None if it should go on."""
    if not evaluations:
        return None
    last, since = evaluations[-1], last_improvement(evaluations)
    if last.episodes - since < patience:
        return None
    return f"on the validation questions nothing has improved since {since} episodes, for {patience} or more"
