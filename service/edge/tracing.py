"""OpenTelemetry traces, behind a switch. Nothing of OpenTelemetry is imported while it is off."""

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
    """A piece of work of a request, which has parts."""

    def child(self, name: str) -> "Span":
        """A part that begins now."""

    def set(self, attributes: Mapping[str, Attribute | None], name: str | None = None) -> None:
        """Say more of it, perhaps a better name; None is left out."""

    def end(self, failed: bool = False) -> None:
        """It ends now; the first time counts."""


class _NoSpan:
    def child(self, name: str) -> "Span":
        return self

    def set(self, attributes: Mapping[str, Attribute | None], name: str | None = None) -> None:
        pass

    def end(self, failed: bool = False) -> None:
        pass


NO_SPAN: Span = _NoSpan()
"""What is recorded while traces are off."""


class _Recorded:
    def __init__(self, tracer: "Tracer", span: "OtelSpan") -> None:
        self._tracer = tracer
        self._span = span

    def child(self, name: str) -> Span:
        from opentelemetry.trace import set_span_in_context

        return _Recorded(self._tracer, self._tracer.start_span(name, set_span_in_context(self._span)))

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
    """Records the spans of requests and exports them. The OTEL_… environment variables say where to and how much."""

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
        """What the settings ask for; None for no traces."""
        wanted = settings.traces
        if wanted is None:
            wanted = any(os.environ.get(name) for name in _ENDPOINTS)
        if not wanted:
            return None
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        return cls(OTLPSpanExporter())

    def begin(self, name: str, headers: Mapping[str, str], attributes: dict[str, Any]) -> Span:
        """A request's span, a child of the caller's where a W3C `traceparent` header names one."""
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        parent = TraceContextTextMapPropagator().extract(headers)
        span = self._tracer.start_span(name, parent, SpanKind.SERVER, attributes)
        return _Recorded(self._tracer, span)

    def flush(self) -> None:
        """Export what has ended."""
        self._provider.force_flush()

    def stop(self) -> None:
        """Export what is left, and end."""
        self._provider.shutdown()
