"""Names, weights, headers and bodies that nobody should send: no 5xx, no traceback, no file touched."""

import asyncio
import json
import logging
import sys
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.anyio
QUESTION = {"question": "Where?"}
MARK = "fuzzmark"

anything = st.text(st.characters(exclude_categories=()), max_size=40)
nasty = st.sampled_from(
    [
        "../../etc/passwd", "..%2f..%2fetc%2fpasswd", "/etc/passwd", "C:\\boot.ini", "\x00", "medium\x00", "medium@",
        "medium@../../x", "@", "weights:", "__proto__", "{{7*7}}", "${jndi:x}", "%s%n", "\ud800", "\u202e", "sft", ".",
        "medium/../long", "~root", "file:///etc/passwd", "\r\nx-injected: 1", "a" * 3000,
    ]
)  # fmt: skip
names = st.builds(str.__add__, st.just(MARK) | st.just(""), nasty | anything)
numbers = st.sampled_from(
    ["nan", "inf", "-inf", "1e400", "-0", "1e-400", "0x10", "1_0", "١", "", " ", "1e308", "--1", "9" * 5000]
) | st.floats().map(str)
weights = st.lists(numbers, max_size=5).map(",".join) | st.lists(
    st.builds("{}={}".format, st.sampled_from(["relevance", "factuality", "x", "", "\x00"]), numbers), max_size=4
).map(",".join)
scalars = st.none() | st.booleans() | st.integers(-(1 << 70), 1 << 70) | st.floats() | names
trees = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3))
FIELDS = (
    "question", "passages", "prompt", "messages", "max_tokens", "temperature", "top_p", "seed", "stop", "stream",
    "best_of",
)  # fmt: skip
bodies = st.dictionaries(st.sampled_from(FIELDS) | names, trees, max_size=5).flatmap(
    lambda odd: st.sampled_from([odd, QUESTION | odd])
)
headers = st.dictionaries(
    st.sampled_from(
        ["authorization", "x-api-key", "x-request-id", "traceparent", "accept", "content-length", "origin"]
    ),
    st.binary(max_size=60).map(lambda value: value.replace(b"\r", b"").replace(b"\n", b"").replace(b"\x00", b"")),
    max_size=3,
)
fuzzed = settings(
    max_examples=75, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


class Opened:
    """Files opened while it watches; an audit hook cannot be removed, so there is one for all tests.

    Modules that Python itself loads at first use, such as encodings, do not count, whatever their names.
    """

    EVENTS = ("open", "os.listdir", "os.scandir", "os.mkdir", "os.remove", "os.rename")

    def __init__(self):
        self.paths = None
        sys.addaudithook(self._note)

    def _note(self, event, arguments):
        if self.paths is not None and event in self.EVENTS:
            path = str(arguments[0])
            if not (Path(path).suffix in (".py", ".pyc") and path.startswith((sys.base_prefix, sys.prefix))):
                self.paths.append(path)

    @contextmanager
    def watching(self):
        self.paths = []
        try:
            yield self.paths
        finally:
            self.paths = None


_OPENED = Opened()


@pytest.fixture
def send(service, caplog):
    """Sends a request to the application; fails on a 5xx, on an error line in the log, and on any file opened."""
    # What is imported at the first request is opened then, and so is an endpoint's source by FastAPI.
    asyncio.run(_first_requests(service.client))
    caplog.set_level(logging.WARNING)

    def sent(method, path, **arguments):
        async def go():
            transport = httpx.ASGITransport(service.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return await client.request(method, path, **arguments)

        caplog.clear()
        with asyncio.Runner() as runner:
            runner.get_loop()
            with _OPENED.watching() as opened:
                reply = runner.run(go())
        assert reply.status_code < 500, (reply.status_code, reply.text)
        outside = [path for path in opened if not path.startswith(str(service.store.root))]
        assert not outside, outside
        assert not caplog.records, caplog.text
        assert "Traceback" not in reply.text
        if reply.status_code >= 400:
            assert set(reply.json()["error"]) == {"type", "message", "param"}
            assert len(reply.content) < 4000
        return reply

    return sent


async def _first_requests(client):
    await client.post("/generate", json=QUESTION, params={"profile": "long"})
    await client.get("/responses/none")


def test_the_watch_sees_files(tmp_path):
    with _OPENED.watching() as opened:
        (tmp_path / MARK).write_text("x")
    assert [path for path in opened if MARK in path]


@fuzzed
@given(profile=names, version=names)
def test_names_of_profiles_and_versions(send, profile, version):
    for asked in (profile, f"{profile}@{version}"):
        quoted = asked.encode("utf-8", "surrogatepass")
        reply = send("POST", "/generate", params={"profile": quoted}, json=QUESTION)
        assert reply.status_code in (200, 404, 422)


@fuzzed
@given(text=weights)
def test_weights(send, text):
    assert send("POST", "/generate", params={"weights": text}, json=QUESTION).status_code in (200, 404, 422)


@fuzzed
@given(response_id=names)
def test_paths(send, response_id):
    quoted = quote(response_id.encode("utf-8", "surrogatepass"), safe="")
    assert send("GET", f"/responses/{quoted}").status_code in (400, 404, 405, 307, 200)


@fuzzed
@given(values=headers)
def test_headers(send, values):
    sent = {name.encode(): value for name, value in values.items()} | {b"content-type": b"application/json"}
    assert send("POST", "/generate", content=json.dumps(QUESTION), headers=sent).status_code in (200, 413)


@fuzzed
@given(body=bodies)
def test_bodies(send, body):
    content = json.dumps(body)
    reply = send("POST", "/generate", content=content, headers={"content-type": "application/json"})
    assert reply.status_code in (200, 400, 413, 422)


@pytest.mark.parametrize(
    "body",
    [
        '{"question": "a", "max_tokens": 1e400}',
        '{"question": "a", "max_tokens": NaN}',
        '{"question": "a", "temperature": NaN}',
        '{"question": "a", "temperature": -Infinity}',
        '{"question": "a", "top_p": 1e-400}',
        f'{{"question": "a", "max_tokens": {"9" * 2000}}}',
        f'{{"question": "a", "seed": {"9" * 4100}}}',
        f'{{"question": "a", "temperature": {"9" * 2000}}}',
        '{"question": "\\ud800"}',
        '{"\\ud800": 1}',
        '{"question": "a", "stop": "\\udfff"}',
        '{"messages": [{"role": "user", "content": "\\ud800"}]}',
        '{"messages": [{"\\ud800": "user"}]}',
        '{"question": "a", "passages": [{"title": "\\ud800", "text": "b"}]}',
        "[" * 2000 + "]" * 2000,
        '{"question": ' + "[" * 990 + "]" * 990 + "}",
        '{"question": ' * 600 + "1" + "}" * 600,
        "null",
        '"text"',
        "1",
        "\ufeff{}",
        '{"question": "a"',
        '{"question": "a", "question": ["b"]}',
        "",
    ],
    ids=lambda body: body[:40],
)
def test_bodies_that_break_parsers(send, body):
    reply = send("POST", "/generate", content=body.encode(), headers={"content-type": "application/json"})
    assert reply.status_code in (400, 413, 422)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"\x80", b'{"question": "\xff"}', b"\x00" * 100])
def test_bodies_that_are_no_text(send, content):
    reply = send("POST", "/generate", content=content, headers={"content-type": "application/json"})
    assert reply.status_code in (400, 422)


def test_nul_in_a_question_is_text_like_any_other(send):
    assert send("POST", "/generate", json={"question": "a\x00b"}).status_code == 200
