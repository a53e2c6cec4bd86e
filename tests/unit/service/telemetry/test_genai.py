"""OpenTelemetry's conventions for generative AI, as a receiver of OTLP sees them."""

import gzip
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.semconv._incubating.metrics import gen_ai_metrics
from opentelemetry.semconv.attributes import error_attributes

from service.domain.judged import TraceLink
from service.settings import Settings
from service.telemetry import conventions
from service.telemetry.tracing import Tracing

pytestmark = pytest.mark.anyio
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
REQUESTS = {
    "/v1/traces": ExportTraceServiceRequest,
    "/v1/metrics": ExportMetricsServiceRequest,
    "/v1/logs": ExportLogsServiceRequest,
}
REGISTRY = {
    value
    for module in (gen_ai_attributes, gen_ai_metrics, error_attributes)
    for value in vars(module).values()
    if isinstance(value, str)
}
"""The names of the published conventions."""


class Receiver(ThreadingHTTPServer):
    """Receives OTLP over HTTP, as a collector does."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received = {path: [] for path in REQUESTS}

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def spans(self):
        return [
            span for request in self.received["/v1/traces"] for resource in request.resource_spans
            for scope in resource.scope_spans for span in scope.spans
        ]  # fmt: skip

    def metrics(self):
        return {
            metric.name: metric for request in self.received["/v1/metrics"] for resource in request.resource_metrics
            for scope in resource.scope_metrics for metric in scope.metrics
        }  # fmt: skip

    def events(self):
        return [
            record for request in self.received["/v1/logs"] for resource in request.resource_logs
            for scope in resource.scope_logs for record in scope.log_records
        ]  # fmt: skip


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        self.server.received[self.path].append(REQUESTS[self.path].FromString(body))
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def receiver(monkeypatch):
    server = Receiver()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.url)
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def observed(serve, receiver):
    """Makes a service that exports to the receiver."""
    started = []

    def make(**settings):
        tracing = Tracing.of(Settings(**settings))
        started.append(tracing)
        service = serve(tracing=tracing, **settings)
        service.flush = tracing.flush
        return service

    yield make
    for tracing in started:
        tracing.stop()


def attributes(holder):
    return {
        attribute.key: (
            [part.string_value for part in attribute.value.array_value.values]
            if attribute.value.HasField("array_value")
            else getattr(attribute.value, attribute.value.WhichOneof("value"))
        )
        for attribute in holder.attributes
    }


def test_every_name_is_one_of_the_published_conventions():
    names = {
        value for name, value in vars(conventions).items()
        if name.isupper() and isinstance(value, str) and value.startswith(("gen_ai.", "error."))
    }  # fmt: skip
    assert len(names) > 25
    # The event's name is in the registry of events alone, which the Python package leaves out.
    assert names - REGISTRY == {"gen_ai.evaluation.result"}
    operations = {operation.value for operation in gen_ai_attributes.GenAiOperationNameValues}
    assert {conventions.CHAT, conventions.TEXT_COMPLETION} <= operations
    assert {"input", "output"} <= {kind.value for kind in gen_ai_attributes.GenAiTokenTypeValues}


async def test_a_receiver_gets_the_span_the_metrics_and_the_scores_of_an_answer(observed, receiver):
    service = observed()
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
    body = {"question": "Where?", "passages": [{"text": "Here."}], "profile": "long", "seed": 3, "stop": "END"}
    reply = (await service.client.post("/generate", json=body, headers=headers)).json()
    await service.score_all()
    service.flush()

    spans = {span.name: span for span in receiver.spans()}
    assert spans.keys() == {"POST /generate", "chat long", "evaluate long"}
    assert {span.trace_id.hex() for span in spans.values()} == {TRACE}
    generation = spans["chat long"]
    described = attributes(generation)
    expected = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "fgctl",
        "gen_ai.request.model": "long",
        "gen_ai.request.seed": 3,
        "gen_ai.request.stop_sequences": ["END"],
        "gen_ai.response.model": "long@000000000003",
        "gen_ai.response.id": reply["id"],
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 3,
        "gen_ai.usage.output_tokens": 4,
    }
    assert {name: described[name] for name in expected} == expected
    assert all(name in REGISTRY for name in described if name.startswith("gen_ai."))
    assert not {"gen_ai.input.messages", "gen_ai.output.messages"} & described.keys()

    scores = {
        category: {
            "gen_ai.evaluation.name": category,
            "gen_ai.evaluation.score.value": -0.5,
            "gen_ai.evaluation.score.label": "error",
            "gen_ai.evaluation.explanation": "1 of 1 segments are judged to be errors.",
            "gen_ai.response.id": reply["id"],
        }
        for category in ("relevance", "factuality", "completeness")
    }
    evaluation = spans["evaluate long"]
    assert evaluation.parent_span_id == generation.span_id
    assert [event.name for event in evaluation.events] == ["gen_ai.evaluation.result"] * 3
    assert [attributes(event) for event in evaluation.events] == list(scores.values())
    events = receiver.events()
    assert [event.event_name for event in events] == ["gen_ai.evaluation.result"] * 3
    assert [attributes(event) for event in events] == list(scores.values())
    assert {(event.trace_id, event.span_id) for event in events} == {(generation.trace_id, generation.span_id)}

    metrics = receiver.metrics()
    assert metrics.keys() == {
        "gen_ai.client.operation.duration", "gen_ai.client.token.usage", "gen_ai.server.request.duration",
        "gen_ai.server.time_to_first_token", "gen_ai.server.time_per_output_token",
    }  # fmt: skip
    assert metrics["gen_ai.client.operation.duration"].unit == "s"
    tokens = {
        attributes(point)["gen_ai.token.type"]: point.sum for point in _points(metrics["gen_ai.client.token.usage"])
    }
    assert tokens == {"input": 3, "output": 4}
    (duration,) = _points(metrics["gen_ai.client.operation.duration"])
    assert attributes(duration) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "fgctl",
        "gen_ai.request.model": "long",
        "gen_ai.response.model": "long@000000000003",
    }
    assert duration.count == 1
    assert list(duration.explicit_bounds) == list(conventions.DURATION_BUCKETS)


async def test_prompts_and_answers_are_recorded_only_if_asked(observed, receiver):
    service = observed(trace_content=True)
    await service.client.post("/generate", json={"prompt": "Say", "profile": "long"})
    service.flush()
    (span,) = [span for span in receiver.spans() if span.name == "text_completion long"]
    recorded = attributes(span)
    assert json.loads(recorded["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "text", "content": "Say"}]}
    ]
    assert json.loads(recorded["gen_ai.output.messages"]) == [
        {
            "role": "assistant",
            "parts": [{"type": "text", "content": "The answer of long."}],
            "finish_reason": "stop",
        }
    ]


async def test_a_failure_is_an_error_in_span_and_metrics(observed, receiver):
    service = observed()
    service.engine.gone = True
    await service.ask({"question": "Where?"})
    service.flush()
    (span,) = [span for span in receiver.spans() if span.name == "chat medium"]
    assert attributes(span)["error.type"] == "error"
    (duration,) = _points(receiver.metrics()["gen_ai.client.operation.duration"])
    assert attributes(duration)["error.type"] == "error"


async def test_metrics_are_bounded_whatever_weights_are_asked_for(observed, receiver):
    service = observed()
    for weights in ("0.3,0.5,0.3", "relevance=0.3,factuality=0.5,completeness=0.3"):
        await service.ask(weights=weights)
    service.flush()
    assert [span.name for span in receiver.spans() if span.name.startswith("chat")] == [
        "chat weights:0.273,0.455,0.273"
    ] * 2
    points = _points(receiver.metrics()["gen_ai.client.operation.duration"])
    assert {attributes(point)["gen_ai.request.model"] for point in points} == {"medium"}


async def test_scores_of_other_systems_join_the_trace_that_they_name(observed, receiver):
    service = observed()
    item = {"question": "Where?", "passages": [["T", "Here."]], "response": "It."}
    linked = item | {"trace_id": TRACE, "span_id": PARENT, "id": "a-1"}
    await service.client.post("/score?record=true", json=[linked, item | {"id": "a-2"}])
    service.flush()
    spans = {attributes(span)["gen_ai.response.id"]: span for span in receiver.spans() if span.name.startswith("eval")}
    assert (spans["a-1"].trace_id.hex(), spans["a-1"].parent_span_id.hex()) == (TRACE, PARENT)
    assert spans["a-2"].parent_span_id == b""


async def test_the_best_of_several_is_evaluated_too(observed, receiver):
    service = observed()
    await service.ask({"question": "Where?", "passages": [{"text": "Here."}], "best_of": 2, "temperature": 1.0})
    service.flush()
    assert len(receiver.events()) == 3


@pytest.mark.parametrize(
    ("variables", "signals"),
    [
        ({}, {"/v1/traces", "/v1/metrics", "/v1/logs"}),
        ({"OTEL_METRICS_EXPORTER": "none"}, {"/v1/traces", "/v1/logs"}),
        ({"OTEL_LOGS_EXPORTER": "none"}, {"/v1/traces", "/v1/metrics"}),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "{}/v1/traces"}, {"/v1/traces"}),
    ],
)
async def test_each_signal_can_be_left_out(observed, receiver, monkeypatch, variables, signals):
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(receiver.url))
    service = observed()
    await service.ask()
    await service.score_all()
    service.flush()
    assert {path for path, requests in receiver.received.items() if requests} == signals


@pytest.mark.parametrize(
    ("header", "link"),
    [
        (f"00-{TRACE}-{PARENT}-01", TraceLink(TRACE, PARENT)),
        (f"00-{TRACE}-{PARENT}-00", TraceLink(TRACE, PARENT, sampled=False)),
        (f"00-{'0' * 32}-{PARENT}-01", None),
        (f"ff-{TRACE}-{PARENT}-01", None),
        ("", None),
    ],
)
def test_the_traceparent_header_is_read_without_opentelemetry(header, link):
    assert TraceLink.of_header(header) == link


def _points(metric):
    return list(metric.histogram.data_points)
