"""The limits on a request's head, on real connections."""

import asyncio

import pytest
import uvicorn

from service.edge.http_protocol.head_limit import bounded_config

pytestmark = pytest.mark.anyio


async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await asyncio.sleep(0.2 if scope["path"] == "/slow" else 0)
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
async def connect():
    """Opens connections to a server that allows heads of 2,000 bytes, arriving within half a second."""
    config = bounded_config(app, 2000, 0.5, port=0, log_config=None, access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    writers = []

    async def open_connection():
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writers.append(writer)
        return reader, writer

    yield open_connection
    for writer in writers:
        writer.close()
    server.should_exit = True
    await running


async def rest(reader):
    return await asyncio.wait_for(reader.read(), 3)


async def test_ordinary_requests_on_one_connection_are_answered(connect):
    reader, writer = await connect()
    for i in range(3):
        writer.write(b"GET /%d HTTP/1.1\r\nhost: x\r\nx: %s\r\n\r\n" % (i, b"a" * 500))
        assert b"200" in await reader.readuntil(b"ok")


@pytest.mark.parametrize(
    "start", [b"GET /", b"GET / HTTP/1.1\r\nhost: x\r\n", b"GET / HTTP/1.1\r\nx: "], ids=["url", "headers", "value"]
)
async def test_a_head_that_never_ends_is_answered_by_431(connect, start):
    reader, writer = await connect()
    writer.write(start)
    more = b"".join(b"h%d: %s\r\n" % (i, b"a" * 50) for i in range(100)) if start.endswith(b"\n") else b"a" * 6000
    for begin in range(0, 2400, 800):  # only just over the limit: writing to a closed connection would reset it
        writer.write(more[begin : begin + 800])
        await asyncio.sleep(0.01)
    assert (await rest(reader)).startswith(b"HTTP/1.1 431 ")


async def test_a_head_that_does_not_arrive_in_time_is_answered_by_408(connect):
    reader, writer = await connect()
    writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n")
    assert (await rest(reader)).startswith(b"HTTP/1.1 408 ")


async def test_a_silent_connection_is_closed_without_a_response(connect):
    reader, _ = await connect()
    assert await rest(reader) == b""


async def test_a_response_being_sent_is_not_interrupted_by_a_refusal(connect):
    reader, writer = await connect()
    writer.write(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\nGET /" + b"a" * 3000)
    assert b"431" not in await rest(reader)
