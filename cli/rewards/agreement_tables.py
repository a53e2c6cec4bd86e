"""Prints tables of agreement with people."""

from typing import Any

from cli.output import print_table


def print_agreement(title: str, report: dict[str, Any]) -> None:
    """One row for each category of a report of rewards.evaluation.evaluate."""
    rows = []
    for name, figures in report.items():
        if not isinstance(figures, dict) or "n" not in figures:
            continue
        accuracy = "accuracy" if "accuracy" in figures else "pairwise_accuracy"
        baselines = ", ".join(f"{key} {_shown(value)}" for key, value in figures["baselines"].items())
        calibration = _shown(figures.get("calibration_error"))
        rows.append([name, figures["n"], _with_interval(figures, accuracy), _with_interval(figures, "macro_f1")])
        rows[-1] += [calibration, baselines]
    print_table(title, ["category", "n", "accuracy", "macro-F1", "calibration error", "baselines"], rows)


def print_labels(title: str, agreement: dict[str, Any]) -> None:
    """One row for each category of a report of rewards.fitting.fit_label_heads."""
    rows = [
        [
            *(name, figures["n"], _with_interval(figures, "accuracy"), _with_interval(figures, "macro_f1")),
            f"{_shown(figures['baselines']['majority'])} / {_shown(figures['majority_macro_f1'])}",
            "yes" if figures["worth"] else "no",
        ]
        for name, figures in agreement.items()
    ]
    print_table(title, ["category", "n", "accuracy", "macro-F1", "majority", "labelled"], rows)


def _with_interval(figures: dict[str, Any], name: str) -> str:
    if figures.get(name) is None:
        return "-"
    low, high = figures["interval"][name]
    return f"{figures[name]:.3f} [{low:.3f}, {high:.3f}]"


def _shown(figure: float | None) -> str:
    return "-" if figure is None else f"{figure:.3f}"


def print_change(change: dict[str, Any]) -> None:
    """What new feedback changed: a table for the old questions and one for the new ones."""
    for name, part in change.items():
        if part["before"] is None:
            continue
        rows = []
        for category, after in part["after"].items():
            figure = next(key for key in ("macro_f1", "pairwise_accuracy") if key in after)
            before = part["before"][category]
            rows.append([category, after["n"], _with_interval(before, figure), _with_interval(after, figure)])
        title = f"{part['questions']} {name} questions, {part['annotations']} annotations, held out each time"
        print_table(title, ["category", "n", "before", "with the new feedback"], rows)
