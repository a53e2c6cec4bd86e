"""OpenTelemetry traces, which can be turned off; then OpenTelemetry is not imported."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from service.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span as OtelSpan
    from opentelemetry.trace import Tracer

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
Attribute = str | int | float | bool


class Span(Protocol):
    """A timed part of a request, which may have children."""

    def child(self, name: str) -> "Span":
        """A child that begins now."""

    def set(self, attributes: Mapping[str, Attribute | None], name: str | None = None) -> None:
        """Set attributes, except those that are None, and perhaps a new name."""

    def end(self, failed: bool = False) -> None:
        """End it now; only the first call has an effect."""


class _NoSpan:
    def child(self, name: str) -> "Span":
        return self

    def set(self, attributes: Mapping[str, Attribute | None], name: str | None = None) -> None:
        pass

    def end(self, failed: bool = False) -> None:
        pass


NO_SPAN: Span = _NoSpan()
"""Stands for every span while traces are off."""


class _RecordedSpan:
    def __init__(self, tracer: "Tracer", span: "OtelSpan") -> None:
        self._tracer = tracer
        self._span = span

    def child(self, name: str) -> Span:
        from opentelemetry.trace import set_span_in_context

        return _RecordedSpan(self._tracer, self._tracer.start_span(name, set_span_in_context(self._span)))

    def set(self, attributes: Mapping[str, Attribute | None], name: str | None = None) -> None:
        if name is not None:
            self._span.update_name(name)
        self._span.set_attributes({name: value for name, value in attributes.items() if value is not None})

    def end(self, failed: bool = False) -> None:
        from opentelemetry.trace import StatusCode

        if not self._span.is_recording():
            return
        if failed:
            self._span.set_status(StatusCode.ERROR)
        self._span.end()


class Tracing:
    """Records the spans of requests and exports them. The OTEL_… environment variables say where to, and how many."""

    def __init__(self, exporter: "SpanExporter") -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        name = os.environ.get("OTEL_SERVICE_NAME", "fgctl")
        self._provider = TracerProvider(resource=Resource.create({"service.name": name}))
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("fgctl")

    @classmethod
    def of(cls, settings: Settings) -> "Tracing | None":
        """Tracing by the settings, or None when it is off."""
        enabled = settings.traces
        if enabled is None:
            enabled = any(os.environ.get(name) for name in _ENDPOINTS)
        if not enabled:
            return None
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        return cls(OTLPSpanExporter())

    def begin(self, name: str, headers: Mapping[str, str], attributes: dict[str, Any]) -> Span:
        """A request's span, as a child of the caller's span if a W3C `traceparent` header names one."""
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        parent = TraceContextTextMapPropagator().extract(headers)
        span = self._tracer.start_span(name, parent, SpanKind.SERVER, attributes)
        return _RecordedSpan(self._tracer, span)

    def flush(self) -> None:
        """Export every span that has ended."""
        self._provider.force_flush()

    def stop(self) -> None:
        """Export the remaining spans and shut down."""
        self._provider.shutdown()
