"""The tables of the model card, in Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

from rewards.fitting.reference_table import CORRECTED, REFERENCE

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
"""The figures of Wu et al. 2023, fitted on 2,853 annotated answers."""


def agreement_table(figures: Mapping[str, Any]) -> str:
    """Agreement of each category with people, with its baselines and the paper's figures."""
    rows = []
    for key, name in _NAMES.items():
        category = figures[key]
        accuracy = "accuracy" if "accuracy" in category else "pairwise_accuracy"
        rows.append(
            [
                name,
                category["n"],
                _with_interval(category, accuracy),
                _with_interval(category, "macro_f1"),
                ", ".join(f"{_number(value)} ({name})" for name, value in category["baselines"].items()),
                _PAPER.get(key, ""),
                _number(category.get("calibration_error")),
                _number(category.get("false_alarm_rate")),
                _number(category.get("miss_rate")),
            ]
        )
    header = ["", "n", "accuracy", "macro-F1", "baselines", "paper", "calibration error", "false alarms", "misses"]
    return _table(header, rows)


def reliability_table(figures: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Predicted and observed rate of errors in each bin."""
    width = max(len(bins) for bins in figures.values())
    rows = [
        [name, *(f"{_number(b['predicted'])} → {_number(b['observed'])}" for b in bins)]
        for name, bins in figures.items()
    ]
    return _table(["", *(str(i + 1) for i in range(width))], rows)


def learning_curve_table(points: Sequence[Mapping[str, Any]]) -> str:
    """Agreement by the number of answers in the training data."""
    names = ("relevance", "factuality", "completeness", "preference")
    rows = [[point["questions"], *(_number(point[name]) for name in names)] for point in points]
    return _table(
        ["answers", "relevance macro-F1", "factuality macro-F1", "completeness pairs", "preference pairs"], rows
    )


def detection_table(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """The share of each label's segments that are predicted as errors."""
    rows = [
        [category, label, counts["n"], _number(counts["detected"])]
        for category, labels in figures.items()
        for label, counts in labels.items()
    ]
    return _table(["category", "label", "segments", "found"], rows)


def label_accuracy_table(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """Accuracy and macro-F1 of the predicted labels of each category."""
    rows = [
        [
            *(
                category,
                labels["n"],
                _with_interval(labels, "accuracy"),
                _with_interval(labels, "macro_f1"),
            ),
            f"{_number(labels['baselines']['majority'])} / {_number(labels['majority_macro_f1'])}",
            " to ".join(f"{value:+.3f}" for value in labels["interval"]["macro_f1_gain"]),
        ]
        for category, labels in figures.items()
    ]
    return _table(["category", "errors", "accuracy", "macro-F1", "commonest", "gain in macro-F1"], rows)


def label_recall_table(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """Recall and precision of each label."""
    rows = [
        [category, label, by["n"], _number(by["recall"]), _number(by["precision"])]
        for category, category_figures in figures.items()
        for label, by in category_figures["by_label"].items()
    ]
    return _table(["category", "label", "errors", "recall", "precision"], rows)


def overlap_table(cells: Mapping[str, Mapping[str, Any]]) -> str:
    """What the relevance and factuality models predict on sentences with errors of both, of one, or of neither."""
    rows = [
        [name, cell["sentences"], _number(cell["relevance_model"]), _number(cell["factuality_model"])]
        for name, cell in cells.items()
    ]
    return _table(["marked by people", "sentences", "relevance model", "factuality model"], rows)


def density_table(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """The same heads on sub-sentences, sentences and whole responses."""
    rows = [
        [category, density, result["n"], _number(result["errors"]), _number(result["auc"]), _number(result["macro_f1"])]
        for category, by_density in figures.items()
        for density, result in by_density.items()
    ]
    return _table(["category", "density", "n", "errors", "ROC AUC", "macro-F1"], rows)


def attack_table(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """What honest answers and attacks are paid."""
    first = figures[CORRECTED]
    rows = [
        [
            name,
            answer["words"],
            *(f"{value:+.2f}" for value in answer["rewards"].values()),
            " / ".join(f"{value:+.2f}" for value in answer["total"].values()),
            *(
                " / ".join(f"{1 - value:.2f}" for value in answer[share].values()) if name != honest else ""
                for honest, share in ((REFERENCE, "paid_more_than_reference"), (CORRECTED, "paid_more"))
            ),
        ]
        for name, answer in figures.items()
    ]
    return _table(["answer", "words", *first["rewards"], "total", "reference wins", "correction wins"], rows)


def alpha_table(figures: Mapping[str, Mapping[str, float | None]]) -> str:
    """Krippendorff's alpha of models and of corrections with people's marks."""
    names = {
        "relevance": "relevance, sub-sentences", "factuality": "factuality, sentences",
        "completeness": "completeness, information missing",
    }  # fmt: skip
    rows = [[name, _number(figures["model"][key]), _number(figures["corrections"][key])] for key, name in names.items()]
    return _table(["", "model and marks", "corrections and marks"], rows)


def candidate_table(logs: Sequence[Mapping[str, Any]]) -> str:
    """Every candidate's agreement with people, and the attacks that pay."""
    rows = []
    for log in logs:
        name = f"*{log['recipe']}*" if log.get("once") else f"`{log['recipe']}`"
        figures = log["agreement"]
        cells = [_triple(figures.get(key, {})) for key in ("relevance", "factuality", "factuality_paper_rule")]
        cells += [_number(figures.get(key, {}).get("pairwise_accuracy")) for key in ("completeness", "preference")]
        rows.append([name, log["description"], *cells, (", ".join(log["holes"]) or "none") if "holes" in log else ""])
    header = ["candidate", "what it is", "relevance", "factuality", "by the paper's rule", "completeness", "preference"]
    return _table([*header, "attacks that pay"], rows)


def _triple(figures: Mapping[str, Any]) -> str:
    """Accuracy / macro-F1 (ROC AUC), as far as the log has them."""
    both = f"{_number(figures['accuracy'])} / {_number(figures['macro_f1'])} " if "accuracy" in figures else ""
    return both + (f"({_number(figures['auc'])})" if figures.get("auc") is not None else "")


def example_table(figures: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Segments that the models get right and wrong."""
    rows = [
        [
            category,
            example["kind"],
            _cell(example["question"]),
            _cell(example["segment"]),
            ", ".join(example["marked"]),
            _number(example["probability"]),
        ]
        for category, chosen in figures.items()
        for example in chosen
    ]
    return _table(["category", "", "question", "segment", "marked by people", "p(error)"], rows)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


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
