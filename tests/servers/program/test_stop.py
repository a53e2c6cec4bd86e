"""SIGTERM while clients wait: each of them is answered, or told why not."""

import asyncio
import json
import re
import signal
from collections import Counter

import httpx

from tests.servers.program.conftest import DRAIN

SHORT = {"question": "Who grinds the rye?", "max_tokens": 4, "passages": [{"text": "Ada Holm grinds the rye."}]}
LONG = SHORT | {"max_tokens": 1024, "temperature": 2.0}


async def ask(client, body):
    """How a request ended, in a word: answered, or the reason why not."""
    try:
        reply = await client.post("/generate", json=body)
    except httpx.ConnectError:
        return "refused"  # nobody listens any more, and nothing was sent
    if body.get("stream") and reply.status_code == 200:
        name, data = reply.text.strip().split("\r\n\r\n")[-1].split("\r\n")
        ended = json.loads(data.removeprefix("data: "))
        return "answered" if name == "event: done" else ended["error"]["type"]
    return "answered" if reply.status_code == 200 else reply.json()["error"]["type"]


async def load(server):
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=server.url, timeout=120, limits=limits) as client:
        bodies = [body | {"stream": stream} for body in (SHORT, LONG) for stream in (False, True) for _ in range(8)]
        before = [asyncio.create_task(ask(client, body)) for body in bodies]

        async def all_arrived():
            done = sum(request.done() for request in before)
            exposed = (await client.get("/metrics")).text
            return done + float(re.search(r"^fg_running_completions (\S+)$", exposed, re.MULTILINE)[1]) == len(before)

        async def stopping():
            return (await client.get("/readyz")).json()["status"] == "stopping"

        await wait_until(all_arrived)
        logged = len(server.log.read_text())
        server.process.terminate()
        await wait_until(stopping)
        after = [await ask(client, SHORT) for _ in range(3)]
        ready = await client.get("/readyz")
        return await asyncio.gather(*before), after, ready, logged


async def wait_until(reached):
    async with asyncio.timeout(300):
        while not await reached():
            await asyncio.sleep(0.05)


def test_nothing_is_lost_and_the_process_ends(server):
    before, after, ready, logged = asyncio.run(load(server))
    assert server.process.wait(DRAIN + 300) == -signal.SIGTERM  # as uvicorn ends: by the signal it was sent
    counts = Counter(before)
    assert counts["answered"] >= 16  # all short ones
    assert set(counts) <= {"answered", "unavailable", "overloaded"}
    assert counts.total() == 32
    assert after == ["overloaded"] * 3
    assert (ready.status_code, ready.json()["status"]) == (503, "stopping")
    assert "Traceback" not in server.log.read_text()[logged:]
