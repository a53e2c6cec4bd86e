"""Offers to upgrade a connection, and clients of HTTP/1.0, on real connections."""

import asyncio

import pytest
import uvicorn

from service.edge.http_protocol.head_limit import bounded_config

pytestmark = pytest.mark.anyio
H2C = b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"
WEBSOCKET = b"connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: eA==\r\n"


async def app(scope, receive, send):
    """Sends what it was sent; at /stream piece by piece, of unknown length."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    text = b"%s %s:%s" % (scope["method"].encode(), scope["path"].encode(), body)
    unknown = scope["path"] == "/stream"
    headers = [] if unknown else [(b"content-length", str(len(text)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for piece in (text[:4], text[4:], b"") if unknown else (text,):
        await send({"type": "http.response.body", "body": piece, "more_body": bool(piece) and unknown})


@pytest.fixture
async def connect():
    config = bounded_config(app, 2000, 5, port=0, log_config=None, access_log=False, lifespan="off")
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


async def until(reader, end):
    return await asyncio.wait_for(reader.readuntil(end), 5)


@pytest.mark.parametrize("offer", [H2C, WEBSOCKET])
@pytest.mark.parametrize("pieces", [1, 2, 30])
async def test_a_request_that_offers_an_upgrade_is_answered_with_its_body(connect, offer, pieces):
    reader, writer = await connect()
    for number in range(2):  # on one connection, which stays what it was
        request = b"POST /%d HTTP/1.1\r\nhost: x\r\n%scontent-length: 5\r\n\r\nhello" % (number, offer)
        size = -(-len(request) // pieces)
        for begin in range(0, len(request), size):
            writer.write(request[begin : begin + size])
            await asyncio.sleep(0.001)
        head = await until(reader, b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        assert await until(reader, b"hello") == b"POST /%d:hello" % number


async def test_chunks_requests_without_a_body_and_pipelined_requests_may_offer_an_upgrade(connect):
    reader, writer = await connect()
    writer.write(
        b"GET /a HTTP/1.1\r\nhost: x\r\n" + H2C + b"\r\n"
        b"POST /b HTTP/1.1\r\nhost: x\r\n" + H2C + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        b"GET /c HTTP/1.1\r\nhost: x\r\n\r\n"
    )
    for expected in (b"GET /a:", b"POST /b:abcde", b"GET /c:"):
        assert (await until(reader, expected)).startswith(b"HTTP/1.1 200")


async def test_a_request_to_connect_is_refused(connect):
    reader, writer = await connect()
    writer.write(b"CONNECT example.org:443 HTTP/1.1\r\nhost: example.org\r\n\r\n")
    assert (await asyncio.wait_for(reader.readline(), 5)).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("connection", [b"", b"connection: keep-alive\r\n"])
async def test_a_stream_to_a_client_of_http_1_0_has_no_chunks_and_ends_with_the_connection(connect, connection):
    reader, writer = await connect()
    writer.write(b"GET /stream HTTP/1.0\r\n" + connection + b"\r\n")
    head, _, body = (await asyncio.wait_for(reader.read(), 5)).partition(b"\r\n\r\n")
    assert body == b"GET /stream:"
    assert b"transfer-encoding" not in head.lower()
    assert head.lower().count(b"connection:") == 1
    assert b"connection: close" in head


async def test_a_stream_to_a_client_of_http_1_1_has_chunks(connect):
    reader, writer = await connect()
    writer.write(b"GET /stream HTTP/1.1\r\nhost: x\r\n\r\n")
    assert b"transfer-encoding: chunked" in await until(reader, b"\r\n\r\n")
    assert await until(reader, b"0\r\n\r\n") == b"4\r\nGET \r\n8\r\n/stream:\r\n0\r\n\r\n"
