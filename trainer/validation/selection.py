"""Which of a run's evaluations is the best, and when the run may end.

**The best** violates the fewest guards (trainer.validation.guards), and among those with equally few it has the highest
validation reward; of equal ones it is the earliest. The parent, before the first step, is not a candidate.

**The end** comes when for `patience` episodes neither the validation reward nor the judge's has risen above what it was
at every evaluation before. Evaluations that violate a guard do not count as a rise, nor are others compared with them.
"""

from collections.abc import Sequence

from trainer.validation.evaluation import Evaluation

RULE = "fewest violated guards, then highest validation reward, then earliest"


def best(evaluations: Sequence[Evaluation]) -> Evaluation | None:
    """The best evaluation of a trained policy; None before the first."""
    trained = [evaluation for evaluation in evaluations if evaluation.step > 0]
    return min(trained, key=lambda e: (len(e.violations), -e.reward, e.step), default=None)


def last_rise(evaluations: Sequence[Evaluation]) -> int:
    """The episodes of the last evaluation at which reward or judge rose; 0 if none did."""
    episodes, reward, judge = 0, float("-inf"), float("-inf")
    for evaluation in evaluations:
        if evaluation.violations:
            continue
        if evaluation.reward > reward or evaluation.judge > judge:
            episodes = evaluation.episodes
        reward, judge = max(reward, evaluation.reward), max(judge, evaluation.judge)
    return episodes


def end(evaluations: Sequence[Evaluation], patience: int) -> str | None:
    """Why a run may end after its last evaluation, as a clause; None if it should go on."""
    if not evaluations:
        return None
    last, since = evaluations[-1], last_rise(evaluations)
    if last.episodes - since < patience:
        return None
    return f"neither the validation reward nor the judge's has risen since {since} episodes, for {patience} or more"
