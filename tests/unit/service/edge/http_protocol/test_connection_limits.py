"""Connections that are idle, too many, or not read from, on real sockets."""

import asyncio
import resource
import socket

import pytest
import uvicorn

from service.edge.http_protocol.connection_limits import allowed_connections
from service.edge.http_protocol.head_limit import bounded_config

pytestmark = pytest.mark.anyio
GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
LARGE = 40 << 20


class App:
    """Answers briefly at /, with more than buffers hold at /large, and after `go` at /slow."""

    def __init__(self):
        self.go = asyncio.Event()
        self.left = []

    async def __call__(self, scope, receive, send):
        size = LARGE if scope["path"] == "/large" else 2
        if scope["path"] == "/slow":
            await self.go.wait()
        headers = [(b"content-length", b"%d" % size)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for begin in range(0, size, 1 << 16):
            part = b"a" * min(1 << 16, size - begin)
            await send({"type": "http.response.body", "body": part, "more_body": begin + len(part) < size})
        if size == LARGE:
            self.left.append((await receive())["type"])


@pytest.fixture
async def server():
    """At most three connections, idle for half a second, and readers that pause for no longer than 0.3 s."""
    app = App()
    config = bounded_config(
        app, 2000, 5, send_seconds=0.3, max_connections=3, timeout_keep_alive=0.5, port=0, log_config=None,
        access_log=False, lifespan="off",
    )  # fmt: skip
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    server.app, server.port = app, server.servers[0].sockets[0].getsockname()[1]
    yield server
    app.go.set()
    server.should_exit = True
    await running


async def connect(server):
    return await asyncio.open_connection("127.0.0.1", server.port)


async def answered(stream, path=b"/"):
    reader, writer = stream
    writer.write(GET.replace(b"/", path, 1))
    return await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)


async def test_stray_line_breaks_do_not_keep_an_idle_connection_open(server):
    reader, writer = await connect(server)
    await answered((reader, writer))

    async def breaks():
        while True:
            writer.write(b"\r\n")
            await asyncio.sleep(0.05)

    breaking = asyncio.create_task(breaks())
    began = asyncio.get_running_loop().time()
    await asyncio.wait_for(reader.read(), 5)
    assert 0.3 < asyncio.get_running_loop().time() - began < 3
    breaking.cancel()


async def test_a_connection_with_requests_stays_open(server):
    stream = await connect(server)
    for _ in range(5):
        assert b"200" in await answered(stream)
        await asyncio.sleep(0.25)


async def test_a_slow_answer_is_not_an_idle_connection(server):
    stream = await connect(server)
    asking = asyncio.create_task(answered(stream, b"/slow"))
    await asyncio.sleep(0.8)
    server.app.go.set()
    assert b"200" in await asking


async def test_too_many_connections_close_the_one_that_was_idle_for_longest(server):
    streams = [await connect(server) for _ in range(3)]
    for stream in streams:
        await answered(stream)
        await asyncio.sleep(0.05)
    asking = asyncio.create_task(answered(streams[0], b"/slow"))
    await asyncio.sleep(0.05)
    assert b"200" in await answered(await connect(server))
    assert await asyncio.wait_for(streams[1][0].read(), 5) == b"aa"
    assert b"200" in await answered(streams[2])
    server.app.go.set()
    assert b"200" in await asking


async def test_where_all_are_in_use_the_newest_is_closed(server):
    asking = [asyncio.create_task(answered(await connect(server), b"/slow")) for _ in range(3)]
    await asyncio.sleep(0.1)
    reader, _ = await connect(server)
    assert await asyncio.wait_for(reader.read(), 5) == b""
    server.app.go.set()
    assert all(b"200" in reply for reply in await asyncio.gather(*asking))


async def test_a_client_that_stops_reading_is_cut_off_and_its_request_ends(server):
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", server.port))
    connection.sendall(GET.replace(b"/", b"/large", 1))
    async with asyncio.timeout(20):
        while not server.app.left:
            await asyncio.sleep(0.02)
    assert server.app.left == ["http.disconnect"]
    connection.close()


async def test_a_slow_reader_gets_everything(server):
    reader, writer = await connect(server)
    writer.write(GET.replace(b"/", b"/large", 1))
    await reader.readuntil(b"\r\n\r\n")
    read = 0
    while read < LARGE:
        part = await asyncio.wait_for(reader.read(4 << 20), 5)
        assert part
        read += len(part)
        await asyncio.sleep(0.005)


def test_connections_are_as_many_as_files_may_be_open():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, before[1]), before[1]))
        assert allowed_connections(100) == 100
        assert allowed_connections(None) == resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 64
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= min(before[1], 1 << 16)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
