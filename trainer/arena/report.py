"""An arena's results for people and for Prometheus: an SVG plot, a page, and metrics for a textfile collector."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

from policies.store.replace_file import replace_file

PLOT, PAGE, METRICS = "ratings.svg", "arena.html", "arena.prom"


def write_report(results: dict[str, Any], directory: Path) -> list[Path]:
    """Write plot, page and metrics of results.json's content. Returns their paths."""
    plot = draw_ratings(results, directory / PLOT)
    template = Environment(
        loader=PackageLoader("trainer.arena", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    ).get_template("page.html")
    drawn = plot.read_text(encoding="utf-8")
    replace_file(directory / PAGE, template.render(results=results, plot=drawn[drawn.index("<svg") :]))
    write_metrics(results, directory / METRICS)
    return [plot, directory / PAGE, directory / METRICS]


def draw_ratings(results: dict[str, Any], path: Path) -> Path:
    """A panel for each judge: the contestants' ratings with their intervals, the best on top."""
    from matplotlib.figure import Figure

    judges = results["judges"]
    figure = Figure(figsize=(5 * len(judges), 1 + 0.5 * len(results["contestants"])), layout="constrained")
    for axes, (name, summary) in zip(figure.subplots(1, len(judges), squeeze=False).flat, judges.items(), strict=True):
        rows = summary["contestants"][::-1]
        ratings = [row["rating"] for row in rows]
        error = [[row["rating"] - row["low"] for row in rows], [row["high"] - row["rating"] for row in rows]]
        axes.errorbar(ratings, range(len(rows)), xerr=[[max(0.0, e) for e in side] for side in error], fmt="o")
        axes.set_yticks(range(len(rows)), [row["name"] for row in rows])
        axes.set(
            xlabel="Bradley-Terry rating", title=f"{name}, {summary['matches']} matches", ylim=(-0.5, len(rows) - 0.5)
        )
        axes.grid(alpha=0.3)
    figure.savefig(path)
    return path


def write_metrics(results: dict[str, Any], path: Path) -> None:
    """Gauges in Prometheus' text format, for node-exporter's textfile collector; a kill leaves the old or the new."""
    registry = CollectorRegistry()
    by_contestant = ("contestant", "version", "judge")
    rating = Gauge("fg_arena_rating", "Bradley-Terry rating of the last arena.", by_contestant, registry=registry)
    low = Gauge("fg_arena_rating_low", "Lower end of its 95 % interval.", by_contestant, registry=registry)
    high = Gauge("fg_arena_rating_high", "Upper end of its 95 % interval.", by_contestant, registry=registry)
    matches = Gauge(
        "fg_arena_matches", "Matches that the judge has judged, equal texts included.", ("judge",), registry=registry
    )
    first = Gauge(
        "fg_arena_first_shown_ratio", "Share of preferences for the text shown first; 0.5 without bias.", ("judge",),
        registry=registry,
    )  # fmt: skip
    versions = {contestant["name"]: contestant["version"] for contestant in results["contestants"]}
    for judge, summary in results["judges"].items():
        for row in summary["contestants"]:
            labels = (row["name"], versions[row["name"]], judge)
            for gauge, value in ((rating, row["rating"]), (low, row["low"]), (high, row["high"])):
                gauge.labels(*labels).set(value)
        matches.labels(judge).set(summary["matches"])
        if summary["position"]:
            first.labels(judge).set(summary["position"]["share"])
    write_to_textfile(str(path), registry)
