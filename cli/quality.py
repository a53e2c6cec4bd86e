"""`fgctl quality`."""

import asyncio
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.output import busy, print_json, print_table, remarks
from rewards.errors import FgctlError

if TYPE_CHECKING:
    from service.feedback.quality.from_store import TrafficAnswer

_AGE = re.compile(r"(\d+)([dh])")


def quality(
    store: Annotated[
        str | None,
        typer.Option("--store", envvar="FGCTL_FEEDBACK_STORE", help="sqlite:///PATH or postgresql://USER@HOST/…"),
    ] = None,
    scores: Annotated[Path | None, typer.Option(help="Instead of a store: answers scored by `fgctl score`.")] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Labels of some of these answers, as JSON lines (docs/monitoring.md).")
    ] = None,
    profile: Annotated[str | None, typer.Option(help="Only this profile's answers.")] = None,
    since: Annotated[
        str, typer.Option(help="Only answers since a date (2026-11-23) or of an age (7d, 12h); `all` for every answer.")
    ] = "30d",
    all_drawn: Annotated[
        bool, typer.Option("--all-drawn", help="Every labelled answer of the store was drawn at random.")
    ] = False,
    rewards: Annotated[
        Path | None,
        typer.Option(
            envvar="FGCTL_REWARDS", help="The reward models that gave the scores.", show_default="the shipped ones"
        ),
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Estimate how often answers err, as people see it, from few labels and all scores, with 95 % intervals.

    Labels count for other answers if the queue drew them at random (orders `sampled` and `error_rate`); answers that
    somebody chose to label count for themselves alone.
    """
    from rewards.models.feedback_rewards import FeedbackRewards
    from rewards.quality.estimates import estimates
    from rewards.quality.score_files import load_answers

    at_home = FeedbackRewards.load(rewards).error_rates_at_home

    if scores is not None:
        if labels is None:
            raise FgctlError("Scores without labels give no error rate; add --labels FILE.")
        report = estimates(load_answers(scores, labels), all_drawn=True, at_home=at_home)
    elif labels is not None:
        raise FgctlError("--labels goes with --scores; the labels of a store are its annotations.")
    else:
        report = _of_store(store, profile, since, all_drawn, at_home)
    if json_output:
        print_json(report)
    else:
        _print(report)


def _of_store(
    url: str | None, profile: str | None, since: str, all_drawn: bool, at_home: Mapping[str, float]
) -> dict[str, Any]:
    from service.feedback.quality.from_store import load_traffic
    from service.feedback.quality.report import error_rates
    from service.feedback.store.feedback_store import open_store

    if url is None:
        raise FgctlError(
            "No answers are named; give --store sqlite:///feedback.db, set FGCTL_FEEDBACK_STORE, or give --scores and "
            "--labels."
        )
    start = _start(since)

    async def read() -> "list[TrafficAnswer]":
        store = await open_store(url)
        try:
            return await load_traffic(store, start, profile)
        finally:
            await store.close()

    with busy("Reading answers and labels"):
        traffic = asyncio.run(read())
    if not traffic:
        of_profile = f" of the profile {profile!r}" if profile else ""
        raise FgctlError(
            f"The store has no scored answer{of_profile} since {since}; serve some, or choose another --since."
        )
    return error_rates(traffic, all_drawn=all_drawn, at_home=at_home)


def _start(since: str) -> datetime | None:
    """The time that --since names. Raises FgctlError."""
    if since == "all":
        return None
    if age := _AGE.fullmatch(since):
        days, hours = (int(age[1]), 0) if age[2] == "d" else (0, int(age[1]))
        return datetime.now(UTC) - timedelta(days=days, hours=hours)
    try:
        moment = datetime.fromisoformat(since)
    except ValueError:
        raise FgctlError(f"--since {since} is neither a date (2026-11-23) nor an age (7d, 12h).") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _print(report: Mapping[str, Any]) -> None:
    rows = []
    for category, of_all in report.items():
        rows.append(_row(category, "all", of_all))
        for profile, of_profile in of_all.get("profiles", {}).items():
            rows.append(_row(category, profile or "-", of_profile))
            versions = of_profile["versions"]
            rows += [_row(category, f"{profile}@{policy}", e) for policy, e in versions.items() if len(versions) > 1]
    columns = [
        *("category", "answers", "error rate", "95 % interval", "labels alone", "scores say"),
        *("by label shift", "labelled", "scored", "labels saved", "more to halve"),
    ]
    print_table("Error rates, as people see them", columns, rows)
    missing = max((estimate["labels_missing"] for estimate in report.values()), default=0)
    if missing:
        remarks.print(
            f"There is no estimate with so few labels: label {missing} more answers, drawn at random (on /annotate, "
            f"the order “for the error rate”)."
        )


def _row(category: str, name: str, estimate: Mapping[str, Any]) -> list[object]:
    return [
        *(category, name, _figure(estimate["estimate"]), _range(estimate), _range(estimate["labels_only"])),
        *(_figure(estimate["raw"]), _figure(estimate["label_shift"]), estimate["drawn"], estimate["scored"]),
        *(_count(estimate["labels_saved"]), _count(estimate["labels_to_halve"])),
    ]


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _range(interval: Mapping[str, Any]) -> str:
    return "-" if interval["low"] is None else f"{interval['low']:.3f} to {interval['high']:.3f}"


def _count(value: int | None) -> str:
    return "-" if value is None else str(value)
