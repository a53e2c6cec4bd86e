"""The fronts as an SVG plot, drawn by matplotlib without a display."""

from itertools import combinations
from pathlib import Path
from typing import Any

from rewards.categories import BUILT_IN


def draw_fronts(results: dict[str, Any], path: Path) -> Path:
    """A panel for each two categories: the mean rewards of every method's points, and the hypervolumes beside them."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 3.8), layout="constrained")
    *panels, bars = figure.subplots(1, 4)
    for axes, (x, y) in zip(panels, combinations(BUILT_IN, 2), strict=True):
        for k, row in enumerate(results["methods"]):
            rewards = [point["reward"] for point in row["points"]]
            axes.plot(
                [r[x] for r in rewards], [r[y] for r in rewards], "o", color=f"C{k}", label=row["method"], alpha=0.7
            )
        axes.set(xlabel=x, ylabel=y, title="mean reward of an answer")
        axes.grid(alpha=0.3)
    rows = results["methods"][::-1]
    volumes = [row["hypervolume"] for row in rows]
    error = [[max(0.0, v["value"] - v["low"]) for v in volumes], [max(0.0, v["high"] - v["value"]) for v in volumes]]
    bars.errorbar([v["value"] for v in volumes], range(len(rows)), xerr=error, fmt="s", color="0.3")
    bars.set_yticks(range(len(rows)), [row["method"] for row in rows])
    bars.set(xlabel="hypervolume", title="95 % intervals over questions")
    bars.grid(alpha=0.3)
    lines = figure.axes[0].get_legend_handles_labels()
    figure.legend(*lines, loc="outside upper center", ncols=max(1, len(lines[0])))
    figure.savefig(path)
    return path
