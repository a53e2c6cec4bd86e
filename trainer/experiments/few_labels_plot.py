"""What few labels are worth on other people's answers, as an SVG plot drawn by matplotlib without a display."""

from pathlib import Path
from typing import Any


def draw_few_labels(sets: dict[str, Any], path: Path) -> Path:
    """For each set, the width of the intervals by the number of labels, with the scores and without, and coverage."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.5 * len(sets), 3.6), layout="constrained")
    for axes, (name, figures) in zip(figure.subplots(1, len(sets), squeeze=False).flat, sets.items(), strict=True):
        labels = [interval["labels"] for interval in figures["intervals"]]
        for key, label, style in (("width", "with scores", "o-"), ("width_labels_only", "labels alone", "s--")):
            axes.plot(labels, [interval[key] for interval in figures["intervals"]], style, label=label)
        axes.axhline(abs(figures["raw"] - figures["truth"]), color="0.5", label="distance of the raw mean")
        for interval in figures["intervals"]:
            axes.annotate(
                f"{interval['coverage']:.0%}", (interval["labels"], interval["width"]), (0, -14), ha="center",
                textcoords="offset points",
            )  # fmt: skip
        axes.set(xlabel="labelled answers", ylabel="width of the 95 % interval", title=name, ylim=(0, None))
        axes.grid(alpha=0.3)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    figure.savefig(path)
    return path
