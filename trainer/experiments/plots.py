"""An experiment's plots as SVG files, drawn by matplotlib without a display."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.experiments.summary import half_width, mean_curve, smooth, summarise

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

_CURVES = {
    "reward": "weighted reward of a response", "relevance": "relevance", "factuality": "factuality",
    "completeness": "completeness", "tokens": "tokens", "kl": "nats from the parent",
}  # fmt: skip
_VALIDATION = {
    "reward": "weighted reward of an answer", "judge": "the judge's weighted reward",
    "copied": "share of words in copied 8-grams", "words": "words",
}  # fmt: skip
_MIXED = ("words", "R1 clean", "R2 clean", "R3", "judge R1 clean", "judge R3")
_TRADE_OFF = {"R1 clean": "relevance, clean", "R2 clean": "factuality, clean", "R3": "completeness, log-odds"}


def draw(results: dict[str, Any], directory: Path) -> list[Path]:
    """Write `curves.svg`, where runs were watched `validation.svg` and, where weights were varied, `trade_off.svg`."""
    drawn = [_curves(results, directory / "curves.svg")]
    if all(run["validation"] for run in results["runs"]):
        drawn.append(_validation(results, directory / "validation.svg"))
    if results["kind"] == "customize":
        drawn.append(_trade_off(results, directory / "trade_off.svg"))
    return drawn


def _curves(results: dict[str, Any], path: Path) -> Path:
    """Every arm's training by episodes: the smoothed mean over seeds, in a band that is its 95 % interval."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6), layout="constrained")
    for axes, (key, label) in zip(figure.subplots(2, 3).flat, _CURVES.items(), strict=True):
        for k, arm in enumerate(_arms(results)):
            draw_line(axes, results, arm, key, f"C{k}")
        _describe(axes, "episodes", label)
    return _saved(figure, results, path)


def _label(results: dict[str, Any], arm: str) -> str:
    """An arm's name in a plot: its weights where the arms differ in these."""
    if results["kind"] != "customize":
        return arm
    trained_by = next(run["trained_by"] for run in results["runs"] if run["arm"] == arm)
    return ", ".join(f"{value:.2f}" for value in trained_by.values())


def _arms(results: dict[str, Any]) -> list[str]:
    """The names of the arms, in the order of their runs."""
    return list(dict.fromkeys(run["arm"] for run in results["runs"]))


def _describe(axes: "Axes", abscissa: str, title: str) -> None:
    axes.set(xlabel=abscissa, title=title)
    axes.grid(alpha=0.3)


def _saved(figure: "Figure", results: dict[str, Any], path: Path) -> Path:
    """Write a figure, with one legend for all of its axes."""
    title = "weights of " + ", ".join(results["weights"]) if results["kind"] == "customize" else None
    lines = figure.axes[0].get_legend_handles_labels()
    figure.legend(*lines, title=title, loc="outside upper center", ncols=len(lines[0]))
    figure.savefig(path)
    return path


def draw_line(axes: "Axes", results: dict[str, Any], arm: str, key: str, colour: str) -> None:
    """An arm's curve of one value by episodes: the smoothed mean over seeds, in a band of all of them."""
    runs = [run for run in results["runs"] if run["arm"] == arm]
    mean = smooth(mean_curve(results, arm, key))
    episodes = [step["episodes"] for step in runs[0]["curve"]][: len(mean)]
    axes.plot(episodes, mean, color=colour, label=_label(results, arm))
    every = np.array([smooth(np.array([step[key] for step in run["curve"]][: len(mean)])) for run in runs])
    _band(axes, episodes, every, colour)


def _band(axes: "Axes", episodes: Sequence[float], every: "NDArray[np.float64]", colour: str) -> None:
    """The mean's 95 % interval by Student's t, from values [seeds, steps]; nothing with a single seed."""
    widths = [half_width(column.tolist()) for column in every.T]
    if widths and widths[0] is not None:
        mean, half = every.mean(0), np.array(widths, dtype=np.float64)
        axes.fill_between(episodes, mean - half, mean + half, color=colour, alpha=0.2, linewidth=0)


def _validation(results: dict[str, Any], path: Path) -> Path:
    """Every arm on the validation questions by episodes: reward, the judge's reward, copied words and length."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6), layout="constrained")
    for axes, (key, label) in zip(figure.subplots(2, 2).flat, _VALIDATION.items(), strict=True):
        for k, arm in enumerate(_arms(results)):
            curves = [run["validation"] for run in results["runs"] if run["arm"] == arm]
            steps = min(map(len, curves))
            every = np.array([[evaluation[key] for evaluation in curve[:steps]] for curve in curves])
            episodes = [evaluation["episodes"] for evaluation in curves[0][:steps]]
            axes.plot(episodes, every.mean(0), "o-", color=f"C{k}", label=_label(results, arm))
            _band(axes, episodes, every, f"C{k}")
        _describe(axes, "episodes", label)
    return _saved(figure, results, path)


def _trade_off(results: dict[str, Any], path: Path) -> Path:
    """Each setting's figures on held-out questions, against the length of its answers."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.6), layout="constrained")
    for axes, (name, label) in zip(figure.subplots(1, 3), _TRADE_OFF.items(), strict=True):
        for k, row in enumerate(summarise(results)):
            axes.errorbar(
                row["words"]["mean"], row[name]["mean"],
                xerr=row["words"]["half_width"], yerr=row[name]["half_width"], fmt="o", color=f"C{k}",
                label=_label(results, row["arm"]),
            )  # fmt: skip
        _describe(axes, "words", label)
    return _saved(figure, results, path)


def draw_mixing(results: dict[str, Any], path: Path) -> Path:
    """Each figure of the mixtures, against their anchors' mixed figures; anchors are squares on the diagonal."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 7), layout="constrained")
    for axes, name in zip(figure.subplots(2, 3).flat, _MIXED, strict=True):
        _panel(axes, results["points"], name)
    figure.savefig(path)
    return path


def _panel(axes: "Axes", points: Sequence[dict[str, Any]], name: str) -> None:
    for point in points:
        value, expected = point["figures"][name], point["expected"][name]
        interval = point["intervals"][name]
        error = None if interval is None else [[value - interval[0]], [interval[1] - value]]
        style = ("s", "C1") if point["anchor"] else ("o", "C0")
        axes.errorbar(expected, value, yerr=error, fmt=style[0], color=style[1], elinewidth=0.8)
    ends = [point["expected"][name] for point in points]
    axes.plot([min(ends), max(ends)], [min(ends), max(ends)], color="0.6", linewidth=0.8)
    axes.set(xlabel="mixed from the anchors'", ylabel="measured", title=name)
    axes.grid(alpha=0.3)
