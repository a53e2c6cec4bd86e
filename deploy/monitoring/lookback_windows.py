"""The windows that rules look back over, and a time scale that makes hours pass in seconds for a test."""

from dataclasses import dataclass
from math import ceil

MINUTE, HOUR = 60.0, 3600.0
_UNITS = (("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1))


@dataclass(frozen=True)
class Window:
    """How far back a rule looks."""

    name: str
    """Ends the names of its series, as in fg:error_ratio:1h. A time scale does not change it."""
    seconds: float
    interval: float
    """Seconds between evaluations of its rules."""


WINDOWS: tuple[Window, ...] = (
    Window("5m", 5 * MINUTE, 15),
    Window("30m", 30 * MINUTE, 30),
    Window("1h", HOUR, 30),
    Window("6h", 6 * HOUR, 60),
)


@dataclass(frozen=True)
class Timing:
    """How fast time passes for the rules, and how many observations are enough.

    `Timing()` is for production. `Timing(scale=1 / 120, counts=0.1, scrape=1.0)` makes an hour pass in half a minute,
    for a test with little traffic: it shortens durations and lowers minimum counts, and changes no name, expression or
    threshold.
    """

    scale: float = 1.0
    """Factor of every duration: windows, `for`, evaluation intervals."""
    counts: float = 1.0
    """Factor of every minimum count."""
    scrape: float = 15.0
    """Seconds between scrapes. A window spans at least four of them, since a rate needs two samples."""

    def window(self, seconds: float) -> str:
        """The duration inside `[...]`."""
        return format_duration(max(seconds * self.scale, 4 * self.scrape))

    def duration(self, seconds: float) -> str:
        """The duration of `for` or `interval`: at least a second, unless it is 0."""
        return format_duration(max(seconds * self.scale, 1.0) if seconds else 0.0)

    def seconds(self, seconds: float) -> float:
        """A number of seconds that an expression compares with."""
        return seconds * self.scale

    def count(self, minimum: float) -> int:
        """A minimum count, rounded up."""
        return ceil(minimum * self.counts)


def format_duration(seconds: float) -> str:
    """A duration as Prometheus writes it, to the millisecond: 90 is 1m30s."""
    left = round(seconds * 1000)
    parts = []
    for unit, size in _UNITS:
        whole, left = divmod(left, size)
        if whole:
            parts.append(f"{whole}{unit}")
    return "".join(parts) or "0s"
