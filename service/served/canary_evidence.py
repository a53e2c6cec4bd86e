"""What running services have counted about a canary, read from their /metrics."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from policies.promotion.sequential import ARMS, Arm, Sums
from rewards.errors import FgctlError

RESPONSES = "fg_canary_responses_total"
PROBABILITY = "fg_canary_error_probability_total"
SQUARES = "fg_canary_error_probability_squares_total"
COUNTERS = (RESPONSES, PROBABILITY, SQUARES)
_SECONDS = 5.0


class NoMetrics(FgctlError):
    """A service whose metrics cannot be read."""


@dataclass(frozen=True)
class Evidence:
    """The counts on one canary and its incumbent, summed over services."""

    canary: Arm
    incumbent: Arm


def read_evidence(expositions: Mapping[str, str], profile: str, version: str) -> Evidence:
    """The evidence on a canary: the counters in services' metrics, in Prometheus' text format by URL, summed.

    A service without such counters has scored no response of either arm. Raises NoMetrics for invalid metrics.
    """
    canary, incumbent = Arm(0, {}), Arm(0, {})
    for service, text in expositions.items():
        try:
            arms = _arms(text, profile, version)
        except (ValueError, KeyError) as error:
            raise NoMetrics(
                f"The metrics of {service} are not those of an fgctl service ({error}); check --service."
            ) from None
        canary, incumbent = canary + arms["canary"], incumbent + arms["incumbent"]
    return Evidence(canary, incumbent)


def fetch_metrics(service: str, api_key: str | None = None) -> str:
    """The metrics of the service at a URL, in Prometheus' text format. Raises NoMetrics."""
    import httpx

    url = f"{service.rstrip('/')}/metrics"
    headers = {"accept": "text/plain"} | ({"authorization": f"Bearer {api_key}"} if api_key else {})
    try:
        reply = httpx.get(url, headers=headers, timeout=_SECONDS)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise NoMetrics(
            f"No service answers at {service} ({error}); start one by `fgctl serve`, or name it by --service URL."
        ) from None
    if reply.status_code in (401, 403):
        raise NoMetrics(f"{url} asks for a key with the scope metrics; give one by --api-key or $FGCTL_API_KEY.")
    if reply.status_code != 200:
        raise NoMetrics(f"{url} answered with status {reply.status_code}; check that --service names an fgctl service.")
    return reply.text


@dataclass
class _Counts:
    responses: float = 0.0
    totals: dict[str, float] = field(default_factory=dict)
    squares: dict[str, float] = field(default_factory=dict)


def _arms(text: str, profile: str, version: str) -> dict[str, Arm]:
    """The counts of both arms in one service's metrics."""
    arms = {name: _Counts() for name in ARMS}
    for sample in _samples(text):
        labels = sample.labels
        if sample.name not in COUNTERS or (labels["profile"], labels["canary"]) != (profile, version):
            continue
        arm = arms[labels["arm"]]
        if sample.name == RESPONSES:
            arm.responses = sample.value
        elif sample.name == PROBABILITY:
            arm.totals[labels["category"]] = sample.value
        else:
            arm.squares[labels["category"]] = sample.value
    return {
        name: Arm(
            counts.responses,
            {category: Sums(total, counts.squares[category]) for category, total in counts.totals.items()},
        )
        for name, counts in arms.items()
    }


def _samples(text: str) -> Iterator[Any]:
    """Raises ValueError for text that is not in Prometheus' format."""
    from prometheus_client.parser import text_string_to_metric_families

    for family in text_string_to_metric_families(text):
        yield from family.samples
