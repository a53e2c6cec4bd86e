"""The model card of the reward models, docs/rewards.md: its sections and their text.

The figures come from rewards.evaluation.card_figures and rewards.evaluation.attacks, the tables from
rewards.evaluation.card_tables.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from rewards.evaluation import card_tables as tables
from rewards.evaluation.attacks import SHARE_LOST, attacks_that_pay, unfit_for_training


def render_card(report: Mapping[str, Any]) -> str:
    """The card as Markdown, from a report: `version`, `data`, `study`, `named`, `attacks` and `candidates`."""
    study = report["study"]
    sections = [
        (
            "Agreement with people",
            f"Version {report['version']} on {report['data']}: {study['questions']} annotated answers, five-fold "
            "cross-validation that keeps questions together, with 95 % intervals by the bootstrap over questions. The "
            "baselines need no model. The paper (Wu et al. 2023) fitted three Longformers on 2,853 annotated answers.",
            tables.agreement_table(study["agreement"]),
        ),
        (
            "Are the probabilities right?",
            "Segments in ten bins of equal size, by predicted probability of an error: mean prediction → observed "
            "share of errors.",
            tables.reliability_table(study["reliability"]),
        ),
        (
            "How much feedback is enough?",
            "Macro-F1 over segments and accuracy over pairs, by the number of annotated answers in the training data.",
            tables.learning_curve_table(study["learning_curve"]),
        ),
        (
            "Which errors are found?",
            "For each label, the number of segments that overlap one of its spans, and the share of them that the "
            "model predicts as errors. Compare it with the false alarms above.",
            tables.detection_table(study["detected_by_label"]),
        ),
        (
            "Are errors labelled correctly?",
            "Of the errors that people marked, the share that gets the same label as people gave: the label that "
            "covers most of the segment or, for missing information, the most serious one. `commonest` is accuracy / "
            f"macro-F1 of always choosing the commonest label. {_labelled(report['named'])} `recall` is the share of a "
            "label's errors that get the label; `precision` is the share of errors with a predicted label that people "
            "labelled the same.",
            tables.label_accuracy_table(study["labels"]) + "\n\n" + tables.label_recall_table(study["labels"]),
        ),
        (
            "Sentences with errors of two categories",
            "The share of sentences that each model predicts as errors. For the relevance model a sentence is an error "
            "if any of its sub-sentences is.",
            tables.overlap_table(study["overlap"]),
        ),
        (
            "Other densities",
            "The same features and kind of head, on shorter or longer pieces of the response.",
            tables.density_table(study["densities"]),
        ),
        (
            "Agreement of people with themselves",
            "Krippendorff's alpha: 1 is perfect agreement, 0 is agreement by chance. Each answer was annotated by one "
            "person, so the agreement between two people is unknown. Instead, an annotator's marks are compared with "
            "what the same annotator's correction changed. A second annotator could hardly agree better.",
            tables.alpha_table(study["alpha"]),
        ),
        (
            "What was tried",
            "Recipes are files in `rewards/recipes`; `fgctl rewards compare` evaluates them. Candidates in italics "
            "were tried once, with code that was not kept. Five folds as above: accuracy / macro-F1 (ROC AUC), then "
            "accuracy over pairs. An attack pays if its mean reward is higher than the corrected response's, by the "
            "weights of any profile. The settings of `best` were chosen by such figures, on other folds of the same "
            "answers.",
            tables.candidate_table(report["candidates"]),
        ),
        (
            "Can they be gamed?",
            "The mean reward of each category, summed over the response and before weights, on held-out questions: for "
            "the annotators' corrected responses, for the reference answers, and for answers that a policy would learn "
            "if they paid; a policy's own answers are under its name. `total` is the sum by the weights of the "
            "profiles short / medium / long, and the last columns are the shares of the questions in which people's "
            f"answers are paid more. {_paying(report['attacks'])} {_fit(report['attacks'])}",
            tables.attack_table(report["attacks"]),
        ),
        (
            "Examples",
            "For each kind of result, the segment on which the model is most certain.",
            tables.example_table(study["examples"]),
        ),
        ("Known failures", _failures(study), ""),
    ]
    head = "# Reward models\nWritten by `fgctl rewards report`. All figures but those on attacks are out of fold.\n"
    return head + "".join(
        f"\n## {title}\n{text}\n" + (f"\n{table}\n" if table else "") for title, text, table in sections
    )


def _labelled(categories: Sequence[str]) -> str:
    """Which categories' errors get a label, and why."""
    subject = f"Errors of {' and '.join(categories)} have" if categories else "No error has"
    return (
        f"{subject} a label. A category gets labels only if they are right for more than half of its errors, at least "
        "as accurate as the commonest label, and better than it in macro-F1 (macro-F1 alone is not enough, since even "
        "random guessing improves it). False alarms get a label too, and rare labels are predicted too rarely: compare "
        "a label's counts with its own at another time, not with another label's."
    )


def _paying(figures: Mapping[str, Mapping[str, Any]]) -> str:
    attacks = attacks_that_pay(figures)
    return f"On average these are paid more: {', '.join(attacks)}." if attacks else "On average none is paid more."


def _fit(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """Whether policies may be trained on the rewards, by unfit_for_training."""
    rule = (
        "Rewards are fit to train on if people's answers earn more than extracts, answers to other questions and the "
        f"policies' answers, on average and in {_percent(SHARE_LOST)} of the questions, by the weights of every profile"
    )
    reasons = unfit_for_training(figures)
    return f"{rule}; these are not: {'; '.join(reasons)}." if reasons else f"{rule}; these are."


def _failures(study: Mapping[str, Any]) -> str:
    figures, labels = study["agreement"], study["detected_by_label"]
    relevance, missing, preference = (figures[c] for c in ("relevance", "completeness_missing", "preference"))
    misses = {
        label: 1 - counts["detected"]
        for by_label in labels.values()
        for label, counts in by_label.items()
        if counts["n"]
    }
    skill = "no better than" if missing["accuracy"] <= missing["baselines"]["majority"] else "better than"
    return (
        f"- Relevance is wrong for {_percent(1 - relevance['accuracy'])} of sub-sentences. Telling what belongs in an "
        "answer takes knowledge that similarity and structure do not have. Rely on rates over many answers, corrected "
        "by the rates above, rather than on a single segment.\n"
        f"{_most_missed(misses)}"
        f"- Whether information is missing is predicted correctly for {_percent(missing['accuracy'])} of answers, "
        f"{skill} always predicting that it is ({_percent(missing['baselines']['majority'])}). Which of two answers "
        f"covers more is predicted correctly for {_percent(figures['completeness']['pairwise_accuracy'])} of pairs: "
        "use the score, not the error.\n"
        "- People's preferences between whole answers are hardly predictable: "
        f"{_percent(preference['pairwise_accuracy'])} of pairs, while the answer shown first is preferred in "
        f"{_percent(preference['baselines']['first'])}.\n"
        "- All training data are English answers of a few sentences to questions about Wikipedia passages. `in_domain` "
        "is false for most other inputs, but it does not detect wrong scores."
    )


def _most_missed(misses: Mapping[str, float]) -> str:
    """The two labels whose errors are missed most, one line each."""
    labels = sorted(misses, key=lambda label: -misses[label])[:2]
    return "".join(f"- {label}: {_percent(misses[label])} of its segments are missed.\n" for label in labels)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
