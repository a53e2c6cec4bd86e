"""What clients make of replies, and what a fault's row says, with a service that is a stand-in."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import uvicorn

from rewards.errors import FgctlError
from service.bench import fault_clients, faults
from service.bench.fault_clients import Observed, keep_asking, last_event
from service.bench.faults import Fault, Site, core_of, scorer_of, try_out, worker_of

pytestmark = pytest.mark.anyio
EVENTS = {"content-type": "text/event-stream"}


@pytest.mark.parametrize(
    ("reply", "last"),
    [
        (httpx.Response(200, json={"text": "a", "finish_reason": "stop"}), "finish_reason"),
        (httpx.Response(503, json={"error": {"message": "m"}}), "error"),
        (httpx.Response(200, headers=EVENTS, text='event: token\r\ndata: {"text":"a"}\r\n\r\n'), "text"),
        (httpx.Response(200, headers=EVENTS, text='event: error\r\ndata: {"error":{}}\r\n\r\n'), "error"),
        (httpx.Response(200, headers=EVENTS, text='data: {"te'), None),
        (httpx.Response(502, text="Bad Gateway"), None),
    ],
)
def test_the_last_object_of_a_reply(reply, last):
    assert list(last_event(reply)) == ([last] if last and last != "finish_reason" else ["text", last] if last else [])


class Service:
    """Answers, refuses, cuts connections or hangs, as it is told."""

    def __init__(self):
        self.mode, self.ready = "answer", True

    async def __call__(self, scope, receive, send):
        if scope["path"] == "/readyz":
            await self.reply(send, 200 if self.ready else 503, b"{}")
            return
        while (await receive()).get("more_body"):
            pass
        await asyncio.sleep(0.01)
        if self.mode == "hang":
            await receive()  # until the client gives up: the server waits for its requests when it ends
            return
        if self.mode == "cut":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"99")]})
            raise RuntimeError("cut")
        refusal = self.mode == "refuse"
        content = b'{"error":{"message":"restarting"}}' if refusal else b'{"text":"a","finish_reason":"stop"}'
        await self.reply(send, 503 if refusal else 200, content)

    @staticmethod
    async def reply(send, status, content):
        await send(
            {"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]}
        )
        await send({"type": "http.response.body", "body": content})


@pytest.fixture
async def service(monkeypatch):
    monkeypatch.setattr(fault_clients, "_PAUSE", 0.01)
    for name in ("_BEFORE", "_AFTER"):
        monkeypatch.setattr(faults, name, 0.3)
    app = Service()
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="off"))
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    app.site = Site(os.getpid(), f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", Path())
    yield app
    server.should_exit = True
    await running


async def test_every_request_is_answered_refused_lost_or_hung(service, monkeypatch):
    monkeypatch.setattr(fault_clients, "HUNG_SECONDS", 0.2)
    observed, stop = Observed(), asyncio.Event()
    asking = asyncio.create_task(keep_asking(service.site.url, 4, observed, stop))
    for service.mode, outcome in (("answer", "answered"), ("refuse", "refused"), ("cut", "lost"), ("hang", "hung")):
        async with asyncio.timeout(60):
            while not observed.outcomes[outcome]:
                await asyncio.sleep(0.01)
    service.mode = "answer"
    stop.set()
    await asking
    assert set(observed.reasons) == {"restarting"}


async def test_a_fault_that_takes_the_service_down(service):
    async def act(site):
        service.ready, service.mode = False, "refuse"
        asyncio.get_running_loop().call_later(0.5, recover)

    def recover():
        service.ready, service.mode = True, "answer"

    row = await try_out(service.site, Fault("death", act, down=True))
    assert (row["lost"], row["hung"], row["ready_told_the_truth"]) == (0, 0, True)
    assert row["refused"] > 0
    assert 0 <= row["not_ready_after"] < row["back_after"]
    assert row["sent"] == row["answered"] + row["refused"]


async def test_a_fault_that_should_not_be_noticed(service):
    async def act(site):
        service.ready = False

    row = await try_out(service.site, Fault("scorer", act))
    assert (row["ready_told_the_truth"], row["back_after"]) == (False, None)


async def test_a_fault_that_is_never_noticed_is_an_error(service, monkeypatch):
    monkeypatch.setattr(faults, "_NOTICE", 0.2)

    async def act(site):
        pass

    with pytest.raises(FgctlError, match="was not noticed"):
        await try_out(service.site, Fault("hang", act, down=True))


SERVICE = """
import subprocess, sys, time
wait = "import time; print('ready', flush=True); time.sleep(600)"
work = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {wait!r}])"
sleep = "import time; time.sleep(600)"
started = [subprocess.Popen([sys.executable, "-c", *words]) for words in
           ([sleep, "VLLM::DPCoordinator"], [work], [work], [sleep])]
core, scorer = started[2:]
print(core.pid, scorer.pid, flush=True)
time.sleep(600)
"""


def test_the_services_processes_are_told_apart_by_their_children():
    command = [sys.executable, "-c", SERVICE]
    service = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        written = "".join(service.stdout.readline() for _ in range(3))  # in any order
        core, scorer = map(int, re.search(r"(\d+) (\d+)", written).groups())
        assert (core_of(service.pid), scorer_of(service.pid)) == (core, scorer)
        assert worker_of(service.pid) not in (core, scorer)
    finally:
        os.killpg(service.pid, signal.SIGKILL)
        service.wait(10)
        service.stdout.close()
