"""The service on two vLLM servers behind HAProxy, which find adapters in a bucket and at the service, by name.

Meanwhile clients ask for profiles and mixtures, versions are promoted and rolled back, the second server is added and
the first one killed: every request is answered, or refused with a reason.
"""

import asyncio
import os
import signal
import socket
import sys
import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from policies.base import cache_directory, resolve_base
from policies.store import PolicyStore
from policies.store.copying import chosen_versions, copy_versions
from service.bench.fault_clients import last_event
from service.bench.paused_programs import Program
from service.bench.servers import free_address, server_environment, wait_until_ready
from service.engine.plan import shapes_of
from service.settings import Settings
from tests.s3 import S3Server

ROOT = Path(__file__).parents[2]
QUESTION = {
    "question": "Who grinds the rye in Thole?", "max_tokens": 24, "temperature": 0,
    "passages": [{"title": "Windmill of Thole", "text": "It was moved to Thole in 1821. The miller is Ada Holm."}],
}  # fmt: skip
SELECTIONS = ({"profile": "medium"}, {"profile": "long"}, {"weights": "0.45,0.35,0.2"}, {"weights": "0.25,0.35,0.4"})
HAPROXY = """
global
  stats socket {socket} level admin
defaults
  mode http
  timeout connect 2s
  timeout client 300s
  timeout server 300s
  timeout check 20s
  retries 3
  option redispatch
  default-server check inter 500ms fall 2 rise 1
frontend engine
  bind 127.0.0.1:{port}
  default_backend servers
backend servers
  balance roundrobin
  option httpchk GET /health
{servers}
"""


def vllm_server(name, base, shapes, sources, cache):
    """A `vllm serve` that finds adapters by name, and its URL."""
    url, port = free_address()
    command = [
        sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--host", "127.0.0.1", "--port", str(port),
        "--model", str(base.path), "--served-model-name", base.name, "--max-model-len", "2048", "--max-num-seqs", "8",
        "--enable-lora", "--max-loras", "4", "--max-lora-rank", str(shapes.rank), "--no-enable-chunked-prefill",
        "--enforce-eager", "--max-num-batched-tokens", "2048", "--kv-cache-memory-bytes", str(1 << 30),
        "--lora-target-modules", *sorted(shapes.modules),
    ]  # fmt: skip
    environment = server_environment(Settings(kv_cache_gib=1)) | {
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1", "FGCTL_ADAPTERS_FROM": sources, "FGCTL_CACHE": str(cache),
        "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    return Program(name, command, environment), url


async def keep_asking(url, outcomes, reasons, versions, stop):
    """Six clients, half of them for streams, until they are told to stop."""

    async def client(http, number):
        while not stop.is_set():
            body = QUESTION | {"stream": number % 2 == 0, "question": f"{QUESTION['question']} {outcomes.total()}"}
            try:
                reply = await http.post("/generate", params=SELECTIONS[outcomes.total() % 4], json=body)
                last = last_event(reply)
            except httpx.TransportError:
                last = {}
            if "error" in last:
                reasons[last["error"]["message"]] += 1
                await asyncio.sleep(0.5)
            elif "policy" in last:
                versions[f"{last['policy']['name']}@{last['policy']['version']}"] += 1
            outcomes["refused" if "error" in last else "answered" if "finish_reason" in last else "lost"] += 1

    async with httpx.AsyncClient(base_url=url, timeout=300) as http, asyncio.TaskGroup() as tasks:
        for number in range(6):
            tasks.create_task(client(http, number))


async def until(reached, what):
    async with asyncio.timeout(400):
        while not reached():
            await asyncio.sleep(0.2)
    assert reached(), what


def loaded(url):
    return {card["id"] for card in httpx.get(f"{url}/v1/models", timeout=60).json()["data"]}


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    """A store in a bucket, with the policies that ship, and a cache that has the base and nothing else."""
    server = S3Server()
    cache = tmp_path / "cache"
    cache.mkdir()
    for made in cache_directory().glob("smollm2*"):
        if made.is_dir():
            (cache / made.name).symlink_to(made)
    for name, value in (server.environment | {"FGCTL_CACHE": str(cache), "FGCTL_USER": "tester"}).items():
        monkeypatch.setenv(name, value)
    store, shipped = PolicyStore(server.bucket()), PolicyStore()
    copy_versions(shipped, store, chosen_versions(shipped, ()))
    store.begin_like(shipped)
    yield store
    server.stop()


def test_servers_behind_a_router_are_one_engine_and_no_request_is_lost(bucket, tmp_path, environment):
    pytest.importorskip("vllm")
    haproxy = Path(os.environ.get("FGCTL_HAPROXY") or ROOT / ".servers/bin/haproxy")
    if not haproxy.is_file():
        pytest.fail(f"{haproxy} is missing: run `make servers`, or set FGCTL_HAPROXY to the path of haproxy.")
    base, store = resolve_base(), bucket
    shapes = shapes_of(store, 4)
    control = Path(tempfile.mkdtemp()) / "haproxy"  # a socket's path must be short
    service_url, port = free_address()
    router_url, router_port = free_address()
    sources = f"{store.url},{service_url}/policies"
    with ExitStack() as stack:
        servers = [vllm_server(f"vLLM {i}", base, shapes, sources, tmp_path / f"cache-{i}") for i in range(2)]
        for program, _ in servers:
            stack.callback(program.end)
        entries = [f"  server s{i} {url.removeprefix('http://')}" for i, (_, url) in enumerate(servers)]
        entries[1] += " disabled"
        config = HAPROXY.format(port=router_port, socket=control, servers="\n".join(entries))
        (tmp_path / "haproxy.cfg").write_text(config)
        router = [str(haproxy), "-db", "-f", str(tmp_path / "haproxy.cfg")]
        stack.enter_context(Program("HAProxy", router, environment))
        for program, url in servers:
            wait_until_ready(program, f"{url}/health")
        own = {"FGCTL_ENGINE_URL": router_url, "FGCTL_POLICIES": store.url, "FGCTL_MAX_NUM_SEQS": "16"}
        own |= {"FGCTL_MIXTURES": str(tmp_path / "mixtures"), "PYTHONPATH": str(ROOT), "FGCTL_SCORING_SHARE": "0"}
        command = [sys.executable, "-m", "cli", "serve", "--port", str(port)]
        service = stack.enter_context(Program("fgctl serve", command, dict(os.environ) | own))
        wait_until_ready(service, f"{service_url}/readyz")
        asyncio.run(change_everything(service_url, servers, store, control))


async def change_everything(url, servers, store, control):
    """Promotions, a server killed and one added, under load; what became of every request."""
    outcomes, reasons, versions, stop = Counter(), Counter(), Counter(), asyncio.Event()
    older, newer = store.versions("medium")
    load = asyncio.create_task(keep_asking(url, outcomes, reasons, versions, stop))
    try:
        await until(lambda: versions[f"medium@{newer}"] and len(versions) >= 4, "profiles and mixtures answer")
        await asyncio.to_thread(store.rollback, "medium", "slower")
        await until(lambda: versions[f"medium@{older}"], "the promotion is seen")
        with socket.socket(socket.AF_UNIX) as haproxy:
            haproxy.connect(str(control))
            haproxy.sendall(b"set server servers/s1 state ready\n")
            assert haproxy.recv(1000).strip() == b""
        await until(lambda: f"medium@{older}" in loaded(servers[1][1]), "the server that was added finds adapters")
        os.killpg(servers[0][0].process.pid, signal.SIGKILL)
        seen = outcomes["answered"]
        await until(lambda: outcomes["answered"] > seen + 12, "the other server goes on")
        await asyncio.to_thread(store.promote, "medium", newer, "faster", force=True)
        again = versions[f"medium@{newer}"]
        await until(lambda: versions[f"medium@{newer}"] > again + 4, "the promotion is seen")
    finally:
        stop.set()
        await load
    print(f"sent {outcomes.total()}, {dict(outcomes)}, {dict(reasons)}, {dict(versions)}")
    assert outcomes["lost"] == 0
    assert outcomes.total() == outcomes["answered"] + outcomes["refused"]
    assert set(reasons) <= {"The engine broke off while it answered; send the request again."}
    assert outcomes["refused"] <= 6  # what the killed server was answering
    assert any(name.startswith("mixture@") for name in versions)
