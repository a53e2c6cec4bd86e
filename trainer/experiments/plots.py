"""An experiment's plots as SVG files, drawn by matplotlib without a display."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.experiments.summary import mean_curve, smooth, summarise

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_CURVES = {
    "reward": "weighted reward of a response", "relevance": "relevance", "factuality": "factuality",
    "completeness": "completeness", "tokens": "tokens", "kl": "nats from the parent",
}  # fmt: skip
_MIXED = ("words", "R1 clean", "R2 clean", "R3", "judge R1 clean", "judge R3")
_TRADE_OFF = {"R1 clean": "relevance, clean", "R2 clean": "factuality, clean", "R3": "completeness, log-odds"}


def draw(results: dict[str, Any], directory: Path) -> list[Path]:
    """Write `curves.svg` and, where weights were varied, `trade_off.svg`."""
    drawn = [_curves(results, directory / "curves.svg")]
    if results["kind"] == "customize":
        drawn.append(_trade_off(results, directory / "trade_off.svg"))
    return drawn


def _curves(results: dict[str, Any], path: Path) -> Path:
    """Every arm's training by episodes: the smoothed mean over seeds, in a band from the least to the greatest."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6), layout="constrained")
    arms = list(dict.fromkeys(run["arm"] for run in results["runs"]))
    for axes, (key, label) in zip(figure.subplots(2, 3).flat, _CURVES.items(), strict=True):
        for k, arm in enumerate(arms):
            _line(axes, results, arm, key, f"C{k}")
        axes.set(xlabel="episodes", title=label)
        axes.grid(alpha=0.3)
    _legend(figure, results)
    figure.savefig(path)
    return path


def _label(results: dict[str, Any], arm: str) -> str:
    """An arm's name in a plot: its weights where the arms differ in these."""
    if results["kind"] != "customize":
        return arm
    trained_by = next(run["trained_by"] for run in results["runs"] if run["arm"] == arm)
    return ", ".join(f"{value:.2f}" for value in trained_by.values())


def _legend(figure: "Figure", results: dict[str, Any]) -> None:
    title = "weights of " + ", ".join(results["weights"]) if results["kind"] == "customize" else None
    lines = figure.axes[0].get_legend_handles_labels()
    figure.legend(*lines, title=title, loc="outside upper center", ncols=len(lines[0]))


def _line(axes: "Axes", results: dict[str, Any], arm: str, key: str, colour: str) -> None:
    runs = [run for run in results["runs"] if run["arm"] == arm]
    mean = smooth(mean_curve(results, arm, key))
    episodes = [step["episodes"] for step in runs[0]["curve"]][: len(mean)]
    axes.plot(episodes, mean, color=colour, label=_label(results, arm))
    if len(runs) > 1:
        every = np.array([smooth(np.array([step[key] for step in run["curve"]][: len(mean)])) for run in runs])
        axes.fill_between(episodes, every.min(0), every.max(0), color=colour, alpha=0.2, linewidth=0)


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
        axes.set(xlabel="words", title=label)
        axes.grid(alpha=0.3)
    _legend(figure, results)
    figure.savefig(path)
    return path


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
