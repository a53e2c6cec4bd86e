"""What is logged, and in what format."""

import io
import json
import logging

import pytest

from service.edge import logs
from service.edge.logs import FIELDS, JsonFormatter, TextFormatter
from service.edge.request_context import RequestContext, entered
from service.settings import Settings

pytestmark = pytest.mark.anyio
QUESTION = {"question": "Where is the secret treasure?", "passages": [{"text": "Under the hidden oak."}]}


@pytest.fixture
def lines():
    """A function that gives the JSON lines the service has logged since the test began."""
    stream, root = io.StringIO(), logging.getLogger()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines() if "service." in line]
    root.removeHandler(handler)
    root.setLevel(level)


async def test_each_request_is_one_line_with_its_outcome(service, lines):
    reply = await service.ask(QUESTION, profile="long")
    (line,) = lines()
    assert line.pop("seconds") >= line.pop("queue_seconds") >= 0
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "info",
        "logger": "service.edge.middleware",
        "message": "request",
        "request_id": reply.headers["x-request-id"],
        "method": "POST",
        "route": "/generate",
        "status": 200,
        "caller": "127.0.0.1",
        "profile": "long",
        "policy": "000000000003",
        "outcome": "ok",
        "prompt_tokens": 3,
        "completion_tokens": 4,
    }


async def test_streams_refusals_and_errors_are_logged_too(service, lines):
    await service.ask(QUESTION | {"stream": True})
    await service.ask(QUESTION, profile="huge")
    await service.client.get("/responses/some%20id")
    await service.client.get("/wp-admin/setup.php")
    assert [(line["status"], line["route"], line.get("outcome")) for line in lines()] == [
        (200, "/generate", "ok"),
        (404, "/generate", "rejected"),
        (404, "/responses/{response_id}", None),
        (404, None, None),
    ]


async def test_probes_are_not_logged_unless_they_fail(service, lines):
    for path in ("/livez", "/readyz", "/metrics"):
        await service.client.get(path)
    assert lines() == []
    service.engine.gone = True
    await service.client.get("/readyz")
    assert [line["status"] for line in lines()] == [503]


async def test_prompts_are_logged_only_when_the_settings_say_so(serve, lines):
    await serve().ask(QUESTION)
    assert not any(word in json.dumps(lines()) for word in ("treasure", "oak"))
    await serve(log_prompts=True).ask(QUESTION)
    assert lines()[-1]["prompts"] == ["Where is the secret treasure?"]


async def test_every_line_of_a_request_has_its_id(service, lines):
    async def broken(task):
        raise RuntimeError("no")

    service.backend.pipeline.prepare = broken
    reply = await service.ask()
    assert [line["request_id"] for line in lines()] == [reply.headers["x-request-id"]] * 2
    assert "RuntimeError: no" in lines()[0]["exception"]
    logging.getLogger("service.test").info("outside")
    assert "request_id" not in lines()[-1]


def record(message, **fields):
    log_record = logging.makeLogRecord({"msg": message, "levelname": "INFO", "created": 0.0, "name": "service.x"})
    setattr(log_record, FIELDS, fields)
    return log_record


def test_text_is_one_line_whatever_it_holds():
    with entered(RequestContext("abc")):
        text = TextFormatter().format(record("asked\nfor", route="/x", seconds=0.12345, caller="a b\nc", policy=None))
    assert text == r'00:00:00.000 info    asked\nfor  request_id=abc route=/x seconds=0.123 caller="a b\nc"'


def test_json_is_one_line_whatever_it_holds():
    text = JsonFormatter().format(record("a\nb", odd="\ud800\x00", thing=object()))
    assert "\n" not in text
    assert json.loads(text)["message"] == "a\nb"


@pytest.mark.parametrize(("log_format", "terminal", "formatter"), [
    ("json", True, JsonFormatter), ("text", False, TextFormatter), (None, True, TextFormatter),
    (None, False, JsonFormatter),
])  # fmt: skip
def test_the_format_is_text_on_a_terminal_unless_set(monkeypatch, log_format, terminal, formatter):
    configured = {}
    monkeypatch.setattr(logs.sys.stderr, "isatty", lambda: terminal, raising=False)
    monkeypatch.setattr(logs.logging, "basicConfig", lambda **arguments: configured.update(arguments))
    logs.configure(Settings(log_format=log_format, log_level="debug"))
    assert configured["level"] == "DEBUG"
    assert type(configured["handlers"][0].formatter) is formatter
