"""Scoring under more load than it can handle, and whether reply latency suffers.

The service runs unchanged, with the real reward models and the engine of `fixed_speed_engine.py`. First the capacity is
measured: how many answers can be scored per second. Then requests arrive in an open loop at rates below, at and above
it. Every answer offered for scoring must be scored, left out of the sample, or dropped.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rewards.errors import FgctlError
from service.bench.load import (
    MakeRequests,
    Progress,
    percentiles,
    question_and_passages,
    run_closed_loop,
    run_open_loop,
    samples,
)

LOADS = (0.5, 1.0, 2.0)
"""Rates of requests, as multiples of the capacity."""
SECONDS = 60.0
"""Seconds during which requests arrive at each load."""
LAST_SHARE = 0.8
"""Share of the last profile's answers that are scored; of the other profiles' all are."""
QUEUE = 64
"""Answers that may wait to be scored: few, so that a minute shows what an hour would."""
GOAL = 1.05
"""Goal for the median latency at the highest load, as a multiple of that at the lowest."""
_TOKENS = 32
_CALIBRATION = 48
"""Requests by which the capacity is measured."""
_CATCH_UP = 300.0
"""Seconds that scoring may take to catch up."""

_FATES = ("scored", "sampled_out", "dropped")
"""What may become of an answer that was offered for scoring."""
Counts = Mapping[str, Mapping[str, float]]
"""By profile: the answers `offered`, and how many had each of _FATES."""


def measure(
    name: str,
    url: str,
    profiles: Sequence[str],
    make: MakeRequests,
    seconds: float = SECONDS,
    progress: Progress = lambda _: None,
) -> dict[str, Any]:
    """Measure at every load: the object of `fgctl bench scoring --json`. Raises FgctlError.

    `name` is the name of the server at `url` for messages.
    """
    progress("Measuring how many answers per second can be scored")
    measure_capacity(name, url, make, 0)  # warm up: the first answers are slower
    capacity, first = measure_capacity(name, url, make, _CALIBRATION), 2 * _CALIBRATION
    loads = []
    for load in LOADS:
        rate = load * capacity
        requests = make(max(len(profiles), round(rate * seconds)), first)
        first += len(requests)
        progress(f"{load:g} times that: {rate:.1f} requests per second for {len(requests) / rate:.0f} seconds")
        before, busy = counts(url, profiles), _total(url, "fg_scoring_busy_seconds_total")
        times = asyncio.run(run_open_loop(name, url, requests, question_and_passages, rate=rate, tokens=_TOKENS))
        waiting = _total(url, "fg_scoring_queue_depth")
        after = _settled_counts(url, profiles, before, len(requests))
        loads.append(
            {
                "load": load,
                "requests_per_second": rate,
                "profiles": {
                    profile: {key: after[profile][key] - earlier for key, earlier in before[profile].items()}
                    for profile in profiles
                },
                "waiting_at_the_end": waiting,
                "busy_seconds": _total(url, "fg_scoring_busy_seconds_total") - busy,
                "first_token_ms": percentiles(times.first_token),
                "reply_ms": percentiles(times.latency),
            }
        )
    return {
        "capacity_per_second": capacity,
        "seconds": seconds,
        "tokens": _TOKENS,
        "loads": loads,
        "reply_ratio": _ratio(loads, "reply_ms"),
        "first_token_ratio": _ratio(loads, "first_token_ms"),
        "goal": GOAL,
    }


def measure_capacity(name: str, url: str, make: MakeRequests, first: int) -> float:
    """Answers scored per second of scoring's own work, in full batches. Raises FgctlError if none is scored.

    `first` is the number of the first request.
    """
    metrics = ("fg_responses_scored_total", "fg_scoring_busy_seconds_total")
    before = [_total(url, metric) for metric in metrics]
    asyncio.run(
        run_closed_loop(
            name, url, make(_CALIBRATION, first), question_and_passages, concurrency=_CALIBRATION, tokens=_TOKENS
        )
    )
    _wait_until(lambda: _total(url, "fg_scoring_queue_depth") == 0, "scored the first answers")
    time.sleep(1)  # the last batch has left the queue but may not be scored yet
    scored, busy = (_total(url, metric) - earlier for metric, earlier in zip(metrics, before, strict=True))
    if not scored or not busy:
        raise FgctlError(f"{name} scored nothing; its log says why.")
    return scored / busy


def counts(url: str, profiles: Sequence[str]) -> dict[str, dict[str, float]]:
    """The service's counts of each profile's answers so far."""
    by_profile = {profile: dict.fromkeys(("offered", *_FATES), 0.0) for profile in profiles}
    for sample in samples(url):
        profile = sample.labels.get("profile", "")
        if profile not in by_profile:
            continue
        if sample.name == "fg_scoring_offered_total":
            by_profile[profile]["offered"] += sample.value
        elif sample.name == "fg_responses_scored_total":
            by_profile[profile]["scored"] += sample.value
        elif sample.name == "fg_scoring_dropped_total":
            fate = "sampled_out" if sample.labels["reason"] == "sampled_out" else "dropped"
            by_profile[profile][fate] += sample.value
    return by_profile


def _settled_counts(url: str, profiles: Sequence[str], before: Counts, requests: int) -> dict[str, dict[str, float]]:
    """The counts once every request is accounted for. Raises FgctlError if that takes too long."""
    latest: dict[str, dict[str, float]] = {}

    def settled() -> bool:
        latest.update(counts(url, profiles))
        return sum(latest[name][fate] - before[name][fate] for name in profiles for fate in _FATES) >= requests

    _wait_until(settled, "accounted for every answer")
    for profile, now in latest.items():
        increase = {key: now[key] - before[profile][key] for key in now}
        if increase["offered"] != sum(increase[fate] for fate in _FATES):
            raise FgctlError(f"The counts of the profile {profile} do not add up ({increase}); report this as a bug.")
    return latest


def _wait_until(condition: Callable[[], bool], achievement: str) -> None:
    deadline = time.monotonic() + _CATCH_UP
    while not condition():
        if time.monotonic() > deadline:
            raise FgctlError(f"Scoring has not {achievement} within {_CATCH_UP:.0f} seconds; its log may say why.")
        time.sleep(0.2)


def _total(url: str, name: str) -> float:
    """The sum of a metric's samples."""
    return sum(sample.value for sample in samples(url) if sample.name == name)


def _ratio(loads: Sequence[Mapping[str, Any]], key: str) -> float:
    """The median at the highest load, as a multiple of that at the lowest."""
    return float(loads[-1][key]["p50"] / loads[0][key]["p50"])
