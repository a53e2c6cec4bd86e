"""Signs that a policy games its rewards instead of answering better.

- `ceiling`: on the validation questions the policy earns more than the reference answers do. No small model writes
  better answers than people; it has found what the rewards pay by mistake.
- `copied`: it copies more from the passages than the references do, by more than a margin.
- `judge`: since the judge rated it best, its reward has risen and the judge's has fallen. The judge shares nothing with
  the rewards, so what only the rewards see is not a better answer (Gao et al. 2023, "Scaling Laws for Reward Model
  Overoptimization": the proxy rises on while the true reward falls).
"""

from collections.abc import Sequence

from policies.promotion.comparison import paired_difference
from trainer.validation.evaluation import Evaluation, ReferenceFigures


def violations(
    now: Evaluation, before: Sequence[Evaluation], references: ReferenceFigures, copied_margin: float
) -> dict[str, str]:
    """The guards that an evaluation violates, and how, as clauses by name.

    `before` are the run's earlier evaluations, of answers to the same questions. The judge counts as fallen if the
    whole 95 % interval of the paired difference lies below zero, since on few questions it moves by chance.
    """
    violated = {}
    if now.reward > references.reward:
        violated["ceiling"] = (
            f"the policy earns {now.reward:+.3f} on the validation questions, more than the reference answers' "
            f"{references.reward:+.3f}"
        )
    if now.copied > references.copied + copied_margin:
        violated["copied"] = (
            f"{now.copied:.0%} of its words are copied from the passages, {copied_margin:.0%} or more above the "
            f"{references.copied:.0%} of the reference answers"
        )
    peak = max(before, key=lambda evaluation: evaluation.judge, default=None)
    if peak is not None and now.reward > peak.reward:
        fall = paired_difference(now.judges, peak.judges)
        if fall.high < 0:
            violated["judge"] = (
                f"since {peak.episodes} episodes its reward has risen by {now.reward - peak.reward:.3f}, but the "
                f"judge's has changed by {fall}"
            )
    return violated
