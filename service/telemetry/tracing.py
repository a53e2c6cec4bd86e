"""OpenTelemetry's traces, metrics and events, which can be turned off; then OpenTelemetry is not imported."""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from service.domain.judged import Judged, TraceLink
from service.domain.scored import ScoredCompletion, verdicts
from service.settings import Settings
from service.telemetry import conventions as names
from service.telemetry.evaluations import evaluation_attributes
from service.telemetry.measures import GenerationMetrics, MeasuredGeneration
from service.telemetry.span import AttributeValue, Span

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk._logs.export import LogRecordExporter
    from opentelemetry.sdk.metrics.export import MetricReader
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span as OtelSpan
    from opentelemetry.trace import Tracer

_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_SCOPE = "fgctl"


class Tracing:
    """Records the spans of requests, the metrics of generations and the scores of answers, and exports them.

    The OTEL_… environment variables say where to, how often, and how many.
    """

    def __init__(
        self,
        exporter: "SpanExporter",
        readers: "Sequence[MetricReader]" = (),
        events: "LogRecordExporter | None" = None,
        *,
        content: bool = False,
    ) -> None:
        """`readers` export the metrics and `events` the scores; `content` records what people wrote and got."""
        from opentelemetry.sdk._logs import LoggerProvider
        from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        resource = Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME", "fgctl")})
        self._traces = TracerProvider(resource=resource)
        self._traces.add_span_processor(BatchSpanProcessor(exporter))
        self._metrics = MeterProvider(readers, resource)
        self._logs = LoggerProvider(resource)
        if events is not None:
            self._logs.add_log_record_processor(BatchLogRecordProcessor(events))
        self._tracer = self._traces.get_tracer(_SCOPE)
        self._logger = self._logs.get_logger(_SCOPE)
        self._generations = GenerationMetrics(self._metrics.get_meter(_SCOPE))
        self._content = content

    @classmethod
    def of(cls, settings: Settings) -> "Tracing | None":
        """Tracing by the settings, or None when it is off."""
        enabled = settings.traces
        if enabled is None:
            enabled = bool(os.environ.get(_ENDPOINT) or os.environ.get(_endpoint_of("TRACES")))
        if not enabled:
            return None
        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

        readers = [PeriodicExportingMetricReader(OTLPMetricExporter())] if _exported("METRICS") else []
        events = OTLPLogExporter() if _exported("LOGS") else None
        return cls(OTLPSpanExporter(), readers, events, content=settings.trace_content)

    def begin(self, name: str, headers: Mapping[str, str], attributes: dict[str, Any]) -> Span:
        """A request's span, as a child of the caller's span if a W3C `traceparent` header names one."""
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        parent = TraceContextTextMapPropagator().extract(headers)
        span = self._tracer.start_span(name, parent, SpanKind.SERVER, attributes)
        return _RecordedSpan(self._tracer, span, self._generations, self._content)

    def evaluated(self, judged: Judged, scored: ScoredCompletion) -> None:
        """Record the scores of an answer: an event for each category, in the logs and on a span of its own.

        Both belong to the answer's generation; without its trace the span begins a new one.
        """
        link = None if judged.trace is None else _context(judged.trace)
        span = self._tracer.start_span(f"evaluate {judged.profile}", link)
        span.set_attributes({names.RESPONSE_ID: judged.id, "fgctl.profile": judged.profile})
        for verdict in verdicts(scored.scores):
            attributes = evaluation_attributes(judged, verdict)
            span.add_event(names.EVALUATION_RESULT, attributes)
            self._logger.emit(event_name=names.EVALUATION_RESULT, attributes=attributes, context=link)
        span.end()

    def flush(self) -> None:
        """Export whatever has been recorded."""
        for provider in (self._traces, self._metrics, self._logs):
            provider.force_flush()

    def stop(self) -> None:
        """Export what remains and shut down."""
        for provider in (self._traces, self._metrics, self._logs):
            provider.shutdown()


class _RecordedSpan:
    def __init__(self, tracer: "Tracer", span: "OtelSpan", generations: GenerationMetrics, content: bool) -> None:
        self._tracer = tracer
        self._span = span
        self._generations = generations
        self._content = content

    def child(self, name: str) -> Span:
        from opentelemetry.trace import set_span_in_context

        child = self._tracer.start_span(name, set_span_in_context(self._span))
        return _RecordedSpan(self._tracer, child, self._generations, self._content)

    def set(self, attributes: Mapping[str, AttributeValue | None], name: str | None = None) -> None:
        if name is not None:
            self._span.update_name(name)
        self._span.set_attributes({name: value for name, value in attributes.items() if value is not None})

    def set_content(self, attributes: Mapping[str, str]) -> None:
        if self._content:
            self._span.set_attributes(dict(attributes))

    def generated(self, generation: MeasuredGeneration) -> None:
        self._generations.observe(generation)

    def end(self, failed: bool = False) -> None:
        from opentelemetry.trace import StatusCode

        if not self._span.is_recording():
            return
        if failed:
            self._span.set_status(StatusCode.ERROR)
        self._span.end()

    @property
    def link(self) -> TraceLink | None:
        context = self._span.get_span_context()
        return TraceLink(f"{context.trace_id:032x}", f"{context.span_id:016x}", bool(context.trace_flags.sampled))


def _context(link: TraceLink) -> "Context":
    """The context of a span, or of a trace whose span is not known, by its ids."""
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context
    from opentelemetry.trace.span import INVALID_SPAN_ID

    # A trace is continued only by the id of a span; where none is known, half of the trace's own id stands for it.
    span_id = int(link.span_id, 16) if link.span_id else int(link.trace_id[:16], 16) or INVALID_SPAN_ID + 1
    flags = TraceFlags(TraceFlags.SAMPLED if link.sampled else TraceFlags.DEFAULT)
    return set_span_in_context(
        NonRecordingSpan(SpanContext(int(link.trace_id, 16), span_id, is_remote=True, trace_flags=flags))
    )


def _endpoint_of(signal: str) -> str:
    return f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT"


def _exported(signal: str) -> bool:
    """Whether to export metrics or logs, too: unless OTEL_…_EXPORTER is none, or only traces have an endpoint."""
    if os.environ.get(f"OTEL_{signal}_EXPORTER") == "none":
        return False
    only_traces = os.environ.get(_endpoint_of("TRACES")) and not os.environ.get(_ENDPOINT)
    return bool(os.environ.get(_endpoint_of(signal))) or not only_traces
