"""The reward models' card in Markdown, from the figures of rewards.study and rewards.attacks."""

from collections.abc import Mapping, Sequence
from typing import Any

from rewards.attacks import REFERENCE

_NAMES = {
    "relevance": "relevance, sub-sentences",
    "factuality": "factuality, sentences",
    "factuality_paper_rule": "factuality, the paper's rule",
    "completeness": "completeness, pairs",
    "completeness_missing": "completeness, information missing",
    "preference": "preference, pairs",
}
_PAPER = {
    "relevance": ".696 / .685",
    "factuality_paper_rule": ".778 / .675",
    "completeness": ".709",
    "preference": ".572",
}
"""Wu et al. 2023, fitted on 2,853 annotated answers."""


def render(report: Mapping[str, Any]) -> str:
    """The card of a report: `version`, `data`, `study` and `attacks`."""
    study = report["study"]
    sections = [
        (
            "Agreement with people",
            f"Version {report['version']} on {report['data']}: {study['questions']} annotated answers, five-fold "
            "cross-validation with whole questions held out, 95 % intervals by the bootstrap over questions. The paper "
            "(Wu et al. 2023) fitted three Longformers on 2,853 annotated answers.",
            _agreement(study["agreement"]),
        ),
        (
            "Are the probabilities right?",
            "Ten equally filled bins of segments by probability of an error: predicted → observed.",
            _reliability(study["reliability"]),
        ),
        (
            "How much feedback is enough?",
            "Macro-F1 over segments, accuracy over pairs, by the number of annotated answers fitted on.",
            _learning_curve(study["learning_curve"]),
        ),
        (
            "Which errors are found?",
            "Of the segments that overlap a span of the label, the share judged errors, to be compared with the false "
            "alarms above.",
            _labels(study["detected_by_label"]),
        ),
        (
            "Sentences with errors of two categories",
            "Share of sentences judged errors by each model. To the relevance model a sentence is one when any of its "
            "sub-sentences is.",
            _overlap(study["overlap"]),
        ),
        (
            "Other densities",
            "The same features and kind of head, judging longer or shorter pieces of the response.",
            _densities(study["densities"]),
        ),
        (
            "Can they be gamed?",
            "Mean summed reward of each category, before weights, for reference answers and for answers that a policy "
            "would find. Whatever is paid more than the reference answer is a hole.",
            _attacks(report["attacks"]),
        ),
    ]
    head = "# Reward models\nWritten by `fgctl rewards report`. All but the last table is judged out of fold.\n"
    return head + "".join(f"\n## {title}\n{text}\n\n{table}\n" for title, text, table in sections)


def _agreement(figures: Mapping[str, Any]) -> str:
    rows = []
    for key, name in _NAMES.items():
        one = figures[key]
        accuracy = "accuracy" if "accuracy" in one else "pairwise_accuracy"
        rows.append(
            [
                name,
                one["n"],
                _with_interval(one, accuracy),
                _with_interval(one, "macro_f1"),
                ", ".join(f"{_number(value)} ({name})" for name, value in one["baselines"].items()),
                _PAPER.get(key, ""),
                _number(one.get("calibration_error")),
                _number(one.get("false_alarm_rate")),
                _number(one.get("miss_rate")),
            ]
        )
    header = ["", "n", "accuracy", "macro-F1", "trivial", "paper", "calibration error", "false alarms", "misses"]
    return _table(header, rows)


def _reliability(figures: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    width = max(len(bins) for bins in figures.values())
    rows = [
        [name, *(f"{_number(b['predicted'])} → {_number(b['observed'])}" for b in bins)]
        for name, bins in figures.items()
    ]
    return _table(["", *(str(i + 1) for i in range(width))], rows)


def _learning_curve(points: Sequence[Mapping[str, Any]]) -> str:
    names = ("relevance", "factuality", "completeness", "preference")
    rows = [[point["questions"], *(_number(point[name]) for name in names)] for point in points]
    return _table(
        ["answers", "relevance macro-F1", "factuality macro-F1", "completeness pairs", "preference pairs"], rows
    )


def _labels(figures: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        [category, label, one["n"], _number(one["detected"])]
        for category, labels in figures.items()
        for label, one in labels.items()
    ]
    return _table(["category", "label", "segments", "found"], rows)


def _overlap(cells: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        [name, one["sentences"], _number(one["relevance_model"]), _number(one["factuality_model"])]
        for name, one in cells.items()
    ]
    return _table(["marked by people", "sentences", "relevance model", "factuality model"], rows)


def _densities(figures: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        [category, density, one["n"], _number(one["errors"]), _number(one["auc"]), _number(one["macro_f1"])]
        for category, by_density in figures.items()
        for density, one in by_density.items()
    ]
    return _table(["category", "density", "n", "errors", "ROC AUC", "macro-F1"], rows)


def _attacks(figures: Mapping[str, Mapping[str, float]]) -> str:
    categories = [name for name in figures[REFERENCE] if name != "words"]
    rows = [[name, one["words"], *(f"{one[c]:+.2f}" for c in categories)] for name, one in figures.items()]
    return _table(["answer", "words", *categories], rows)


def _table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def _with_interval(figures: Mapping[str, Any], name: str) -> str:
    if name not in figures:
        return ""
    low, high = figures["interval"][name]
    return f"{_number(figures[name])} [{_number(low)}, {_number(high)}]"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}".replace("0.", ".", 1)
