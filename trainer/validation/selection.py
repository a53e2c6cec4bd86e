"""Which of a run's evaluations is the best, and when the run may end.

**The best** violates the fewest guards (trainer.validation.guards), and among those with equally few it has the highest
validation reward; of equal ones it is the earliest. The parent, before the first step, is not a candidate.

**The end** comes when for `patience` episodes nothing has improved. An improvement is a validation reward or a judge's
reward above that of every evaluation before, or less copying than ever before, where copying violates its guard. An
evaluation that violates a guard is no improvement, nor are others compared with it, with one exception: where the
parent itself copies too much, so may its descendants, or the run that teaches them to copy less would end before they
do.
"""

from collections.abc import Sequence

from trainer.validation.evaluation import Evaluation

RULE = "fewest violated guards, then highest validation reward, then earliest"


def best(evaluations: Sequence[Evaluation]) -> Evaluation | None:
    """The best evaluation of a trained policy; None before the first."""
    trained = [evaluation for evaluation in evaluations if evaluation.step > 0]
    return min(trained, key=lambda e: (len(e.violations), -e.reward, e.step), default=None)


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
