"""Traces of requests, and the switch that turns them on."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from service.settings import Settings
from service.telemetry.tracing import Tracing

pytestmark = pytest.mark.anyio
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
QUESTION = {"question": "Where?"}


@pytest.fixture
def traced(serve):
    """A function that makes a service, and one that gives the spans that have ended, by name."""
    exporter = InMemorySpanExporter()
    tracing = Tracing(exporter)

    def spans():
        tracing.flush()
        return {span.name: span for span in exporter.get_finished_spans()}

    yield lambda **settings: serve(tracing=tracing, **settings), spans
    tracing.stop()


async def test_a_request_is_a_span_in_the_callers_trace_with_its_generation_as_child(traced):
    service, spans = traced[0](), traced[1]
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
    reply = await service.client.post("/generate?profile=long", json=QUESTION, headers=headers)
    request, generate = spans()["POST /generate"], spans()["chat long"]
    assert format(request.context.trace_id, "032x") == TRACE
    assert format(request.parent.span_id, "016x") == PARENT
    assert generate.parent.span_id == request.context.span_id
    assert dict(request.attributes) == {
        "http.request.method": "POST",
        "http.route": "/generate",
        "http.response.status_code": 200,
        "fgctl.request_id": reply.headers["x-request-id"],
        "fgctl.caller": "127.0.0.1",
        "fgctl.profile": "long",
        "fgctl.policy": "000000000003",
        "fgctl.outcome": "ok",
        "gen_ai.usage.input_tokens": 3,
        "gen_ai.usage.output_tokens": 4,
    }
    assert dict(generate.attributes) == {
        "fgctl.profile": "long",
        "fgctl.policy": "000000000003",
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "fgctl",
        "gen_ai.output.type": "text",
        "gen_ai.request.model": "long",
        "gen_ai.request.max_tokens": 200,
        "gen_ai.request.temperature": 0.7,
        "gen_ai.request.top_p": 0.9,
        "gen_ai.response.id": reply.json()["id"],
        "gen_ai.response.model": "long@000000000003",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 3,
        "gen_ai.usage.output_tokens": 4,
    }
    assert "queue" not in spans()


async def test_waiting_is_a_span_of_its_own(traced):
    service, spans = traced[0](max_num_seqs=1), traced[1]
    service.engine.hold = asyncio.Event()
    replies = [asyncio.create_task(service.ask(QUESTION | {"stream": bool(i)})) for i in range(3)]
    while service.metric("fg_waiting_requests") != 1:
        await asyncio.sleep(0)
    for _ in range(20):
        await asyncio.sleep(0)
    service.engine.hold.set()
    await asyncio.gather(*replies)
    queue = spans()["queue"]
    assert queue.end_time > queue.start_time
    assert queue.parent is not None


async def test_failures_are_marked_and_probes_are_not_traced(traced):
    service, spans = traced[0](), traced[1]
    service.engine.gone = True
    await service.ask(QUESTION)
    await service.client.get("/metrics")
    await service.client.get("/no/such/path")
    assert set(spans()) == {"POST /generate", "chat medium", "GET"}
    assert spans()["POST /generate"].status.status_code is StatusCode.ERROR
    assert spans()["chat medium"].status.status_code is StatusCode.ERROR
    assert spans()["GET"].status.status_code is StatusCode.UNSET


@pytest.mark.parametrize("header", ["", "00-zz-1-01", "\x00", "00-" + "0" * 32 + "-" + "0" * 16 + "-01"])
async def test_an_invalid_traceparent_is_ignored(traced, header):
    service, spans = traced[0](), traced[1]
    await service.client.post("/generate", json=QUESTION, headers={b"traceparent": header.encode()})
    assert spans()["POST /generate"].parent is None


@pytest.mark.parametrize(
    ("switch", "endpoint", "on"),
    [(None, None, False), (None, "http://x:4318", True), (True, None, True), (False, "http://x:4318", False)],
)
def test_traces_are_on_by_the_setting_or_by_an_endpoint(monkeypatch, switch, endpoint, on):
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", raising=False)
    if endpoint is None:
        monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    else:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
    tracing = Tracing.of(Settings(traces=switch))
    assert (tracing is not None) is on
    if tracing is not None:
        tracing.stop()


def test_opentelemetry_is_not_imported_while_traces_are_off():
    code = (
        "import sys; from service.app import create_app; from service.settings import Settings; "
        "from service.telemetry.tracing import Tracing; "
        "settings = Settings(); create_app(settings, tracing=Tracing.of(settings)); "
        "print([m for m in sys.modules if m.startswith('opentelemetry')])"
    )
    environment = {"PATH": "", "PYTHONPATH": str(Path(__file__).parents[4])}
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert out.stdout.strip() == "[]"
