"""A span as the rest of the service sees it, and what stands for every span while OpenTelemetry is off."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from service.domain.judged import TraceLink
from service.telemetry.measures import MeasuredGeneration

AttributeValue = str | int | float | bool | Sequence[str]


class Span(Protocol):
    """A timed part of a request, which may have children."""

    def child(self, name: str) -> "Span":
        """A child that begins now."""

    def set(self, attributes: Mapping[str, AttributeValue | None], name: str | None = None) -> None:
        """Set attributes, except those that are None, and perhaps a new name."""

    def set_content(self, attributes: Mapping[str, str]) -> None:
        """Set attributes that hold what people wrote and got; without effect unless content is recorded."""

    def generated(self, generation: MeasuredGeneration) -> None:
        """Count in the metrics a generation that this span is about."""

    def end(self, failed: bool = False) -> None:
        """End it now; only the first call has an effect."""

    @property
    def link(self) -> TraceLink | None:
        """Where it is in its trace; None if it is not recorded."""


class _NoSpan:
    link: TraceLink | None = None

    def child(self, name: str) -> "Span":
        return self

    def set(self, attributes: Mapping[str, AttributeValue | None], name: str | None = None) -> None:
        pass

    def set_content(self, attributes: Mapping[str, str]) -> None:
        pass

    def generated(self, generation: MeasuredGeneration) -> None:
        pass

    def end(self, failed: bool = False) -> None:
        pass


NO_SPAN: Span = _NoSpan()
"""Stands for every span while OpenTelemetry is off."""
