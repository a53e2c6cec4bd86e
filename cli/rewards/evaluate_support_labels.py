"""`fgctl rewards evaluate` on JSON lines of labelled spans."""

from pathlib import Path

from cli.output import counting, print_json, remarks
from cli.rewards.agreement_tables import print_agreement
from cli.rewards.labelled_data import load_labelled
from rewards.errors import FgctlError


def evaluate_support_labels(data: str | None, model: Path | None, json_output: bool, refits: bool) -> None:
    """Print the agreement of reward models with labelled spans. `refits`: new models were asked for.

    Raises FgctlError for these, which support labels alone cannot be used to fit.
    """
    from rewards.models.feedback_rewards import FeedbackRewards
    from rewards.quality.agreement import agreement
    from rewards.quality.judged_segments import judge

    if refits:
        raise FgctlError("Models are not fitted on labelled spans; leave out --recipe and --cross-validate.")
    labelled, rewards = load_labelled(data), FeedbackRewards.load(model)
    with counting("Scoring the labelled answers", len(labelled.responses)) as advance:
        judged = judge(labelled.responses, rewards, advance)
    report = agreement(labelled.responses, judged, rewards)
    if json_output:
        print_json(report)
        return
    print_agreement(f"{labelled.name}, {len(labelled.responses)} answers, {report['protocol']}", report)
    for name, figures in report.items():
        if isinstance(figures, dict):
            auc, overlap, after = figures["auc"], figures["overlap_auc"], figures["after_50_labels"]
            calibrated = "" if after is None else f" After 50 labels the calibration error is {after:.3f}."
            remarks.print(f"{name}: ROC AUC {auc:.3f}, of word overlap {overlap:.3f}.{calibrated}")
