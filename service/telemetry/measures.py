"""OpenTelemetry's metrics of generations: how long they take, and how many tokens they read and write."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from service.telemetry import conventions as names

if TYPE_CHECKING:
    from opentelemetry.metrics import Histogram, Meter


@dataclass(frozen=True)
class MeasuredGeneration:
    """What the metrics observe of a generation, in seconds and tokens."""

    attributes: Mapping[str, str]
    """Bounded: profiles and versions, never weights or texts."""
    error: str | None
    operation_seconds: float
    """In the engine."""
    request_seconds: float
    """Since the request came."""
    first_token_seconds: float | None
    output_token_seconds: float | None
    """After the first, by token."""
    tokens: Mapping[str, int]
    """By the values of TOKEN_TYPE."""


class GenerationMetrics:
    """The instruments."""

    def __init__(self, meter: "Meter") -> None:
        def histogram(name: str, unit: str, text: str, buckets: Sequence[float]) -> "Histogram":
            return meter.create_histogram(name, unit, text, explicit_bucket_boundaries_advisory=list(buckets))

        self._operation = histogram(
            names.CLIENT_OPERATION_DURATION, "s", "Seconds in the engine.", names.DURATION_BUCKETS
        )
        self._tokens = histogram(
            names.CLIENT_TOKEN_USAGE, "{token}", "Tokens of a prompt, and those written.", names.TOKEN_BUCKETS
        )
        self._request = histogram(
            names.SERVER_REQUEST_DURATION, "s", "Seconds from request to last token.", names.DURATION_BUCKETS
        )
        self._first = histogram(
            names.SERVER_TIME_TO_FIRST_TOKEN, "s", "Seconds from request to first token.", names.FIRST_TOKEN_BUCKETS
        )
        self._next = histogram(
            names.SERVER_TIME_PER_OUTPUT_TOKEN, "s", "Seconds for each token after the first.",
            names.OUTPUT_TOKEN_BUCKETS,
        )  # fmt: skip

    def observe(self, generation: MeasuredGeneration) -> None:
        """Count one generation."""
        attributes = dict(generation.attributes)
        for kind, count in generation.tokens.items():
            self._tokens.record(count, attributes | {names.TOKEN_TYPE: kind})
        if generation.first_token_seconds is not None:
            self._first.record(generation.first_token_seconds, attributes)
        if generation.output_token_seconds is not None:
            self._next.record(generation.output_token_seconds, attributes)
        if generation.error is not None:
            attributes[names.ERROR_TYPE] = generation.error
        self._operation.record(generation.operation_seconds, attributes)
        self._request.record(generation.request_seconds, attributes)
