"""What scoring does when more comes than it can score, and whether anybody who waits for an answer notices.

The service runs as it is, with the real reward models and service.bench.fixed_speed_engine's engine. First it is found how many
answers a second can be scored; then requests come at fixed rates, below, at and above that, however many are still
being answered. Every response that was offered must have been scored, left out of the sample, or dropped.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rewards.errors import FgctlError
from service.bench.load import Asked, arrive, drive, percentiles, question_and_passages, samples

LOADS = (0.5, 1.0, 2.0)
"""Requests a second, as multiples of the answers that can be scored in one."""
SECONDS = 60.0
"""How long requests come at each load."""
LAST_SHARE = 0.8
"""Of the last profile's answers that are to be scored; all of the others'."""
QUEUE = 64
"""Answers that may wait to be scored: few, so that a minute shows what an hour would."""
GOAL = 1.05
"""The most that the median reply may take at the highest load, as a multiple of that at the lowest."""
_TOKENS = 32
_CALIBRATION = 48
_WAIT = 300.0
"""Seconds that scoring may take to catch up."""

Counts = Mapping[str, Mapping[str, float]]
"""By profile: `offered`, `scored`, `sampled_out` and `dropped`."""


def measure(
    name: str,
    url: str,
    profiles: Sequence[str],
    make: Callable[[int, int], list[Asked]],
    seconds: float = SECONDS,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Measure at every load: the shape of `fgctl bench scoring --json`. Raises FgctlError.

    `name` is what the server at `url` is called. `make` gives as many questions as its first argument says, from the
    one on that the second says.
    """
    say("How many answers a second can be scored")
    calibrate(name, url, make, 0)  # what is slow once, such as the first answers, is no part of it
    capacity, first = calibrate(name, url, make, _CALIBRATION), 2 * _CALIBRATION
    loads = []
    for load in LOADS:
        rate = load * capacity
        asked = make(max(len(profiles), round(rate * seconds)), first)
        first += len(asked)
        say(f"{load:g} times that: {rate:.1f} requests a second for {len(asked) / rate:.0f} seconds")
        before, busy = counts(url, profiles), _total(url, "fg_scoring_busy_seconds_total")
        times = asyncio.run(arrive(name, url, asked, question_and_passages, rate=rate, tokens=_TOKENS))
        waiting = _total(url, "fg_scoring_queue_depth")
        after = _settled(url, profiles, before, len(asked))
        loads.append(
            {
                "load": load,
                "requests_per_second": rate,
                "profiles": {
                    profile: {what: after[profile][what] - then for what, then in before[profile].items()}
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


def calibrate(name: str, url: str, make: Callable[[int, int], list[Asked]], first: int) -> float:
    """Answers scored in a second of scoring's own work, in full batches. Raises FgctlError when none is.

    `first` is the number of the first question.
    """
    before = [_total(url, metric) for metric in ("fg_responses_scored_total", "fg_scoring_busy_seconds_total")]
    asyncio.run(
        drive(name, url, make(_CALIBRATION, first), question_and_passages, concurrency=_CALIBRATION, tokens=_TOKENS)
    )
    _await(lambda: _total(url, "fg_scoring_queue_depth") == 0, "scored what it was given first")
    time.sleep(1)  # the last batch is no longer waiting, and not yet scored
    scored, busy = (
        _total(url, metric) - then
        for metric, then in zip(("fg_responses_scored_total", "fg_scoring_busy_seconds_total"), before, strict=True)
    )
    if not scored or not busy:
        raise FgctlError(f"{name} scored nothing; its log says why.")
    return scored / busy


def counts(url: str, profiles: Sequence[str]) -> dict[str, dict[str, float]]:
    """What became of the answers of each profile so far."""
    found = {profile: dict.fromkeys(("offered", "scored", "sampled_out", "dropped"), 0.0) for profile in profiles}
    for sample in samples(url):
        profile = sample.labels.get("profile", "")
        if profile not in found:
            continue
        if sample.name == "fg_scoring_offered_total":
            found[profile]["offered"] += sample.value
        elif sample.name == "fg_responses_scored_total":
            found[profile]["scored"] += sample.value
        elif sample.name == "fg_scoring_dropped_total":
            found[profile]["sampled_out" if sample.labels["reason"] == "sampled_out" else "dropped"] += sample.value
    return found


def _settled(url: str, profiles: Sequence[str], before: Counts, requests: int) -> dict[str, dict[str, float]]:
    """The counts once every one of the requests is accounted for. Raises FgctlError when that never comes."""
    found: dict[str, dict[str, float]] = {}

    def settled() -> bool:
        found.update(counts(url, profiles))
        gone = sum(
            found[profile][what] - before[profile][what]
            for profile in profiles
            for what in ("scored", "sampled_out", "dropped")
        )
        return gone >= requests

    _await(settled, "accounted for every answer")
    for profile, now in found.items():
        grown = {what: now[what] - before[profile][what] for what in now}
        if grown["offered"] != grown["scored"] + grown["sampled_out"] + grown["dropped"]:
            raise FgctlError(f"The counts of {profile} do not add up: {grown}.")
    return found


def _await(done: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _WAIT
    while not done():
        if time.monotonic() > deadline:
            raise FgctlError(f"Scoring has not {what} within {_WAIT:.0f} seconds.")
        time.sleep(0.2)


def _total(url: str, name: str) -> float:
    return sum(sample.value for sample in samples(url) if sample.name == name)


def _ratio(loads: Sequence[Mapping[str, Any]], key: str) -> float:
    """The median at the highest load, as a multiple of that at the lowest."""
    return float(loads[-1][key]["p50"] / loads[0][key]["p50"])
