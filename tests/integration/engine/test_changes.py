"""Policies exchanged, mixed and broken, and an engine that is killed, while the real engine answers."""

import asyncio
import multiprocessing
import os
import signal
import time
from collections import Counter

import httpx
import pytest
import torch

from policies.adapters.lora import LoraAdapter
from policies.mixing import MIXTURE
from policies.store import PROFILES
from service.domain.roster import Roster
from service.served.weights_lookup import WeightsLookup

QUESTION = {
    "question": "How tall is the Aldermouth Lighthouse?",
    "passages": [{"title": "Aldermouth Lighthouse", "text": "The tower is 31 metres tall and has 164 steps."}],
    "max_tokens": 16,
}


@pytest.fixture(scope="module")
def policies(app, loop, store, base, making, tmp_path_factory):
    """The store of the application, which serves three profiles of this module's own until its end.

    Two have adapters that mix to a rank that the engine takes whole, and a third one of full rank.
    """
    root, profiles, resolver = tmp_path_factory.mktemp("changes"), store.root / PROFILES, app.state.backend.resolver
    before = profiles.read_text()

    async def read_as_after_a_restart():
        """Read the store without going on with what it does not name any more."""
        async with resolver._reloading:
            resolver.roster, resolver._lookup = Roster(), WeightsLookup((), 20)
        await resolver.reload()

    profiles.unlink()
    for seed, (profile, weights, rank) in enumerate([("left", "4,1,1", 4), ("right", "1,4,1", 4), ("top", "1,1,4", 8)]):
        adapter = making.adapter(base, root / profile, seed, 0.25, rank=rank)
        store.promote(profile, making.policy(store, base, profile, adapter, weights).version)
    loop.run(read_as_after_a_restart())
    yield store
    profiles.write_text(before)
    loop.run(read_as_after_a_restart())


@pytest.fixture
def new_version(base, making, policies, tmp_path):
    """Stores another version of `left`."""

    def stored(seed):
        adapter = making.adapter(base, tmp_path / str(seed), seed, 0.25, rank=4)
        return making.policy(policies, base, "left", adapter, "4,1,1").version

    return stored


@pytest.fixture(scope="module")
def client(app, policies):
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test", timeout=500)


@pytest.fixture
def send(client, loop):
    return lambda method, url, **arguments: loop.run(client.request(method, url, **arguments))


def test_a_mixture_computes_what_the_sum_of_the_updates_computes(app, loop, base, policies, send):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from service.engine.engine import PROBE

    reply = send("POST", "/generate?weights=0.4,0.4333,0.1667", json=QUESTION).json()
    assert reply["profile"] == MIXTURE
    resolver, engine = app.state.backend.resolver, app.state.backend.core.engine
    served = next(policy for policy in resolver._loaded._loaded.values() if policy.profile == MIXTURE)
    made = served.manifest.recipe[MIXTURE]
    assert (len(made["anchors"]), made["rank"], made["tail_energy"]) == (2, 8, 0)
    probed = loop.run(engine.probe(served))

    model = AutoModelForCausalLM.from_pretrained(base.path, dtype=torch.float32)
    for anchor in made["anchors"]:
        adapter = LoraAdapter(policies.path(anchor["profile"], anchor["version"]))
        for module in adapter.modules:
            weight = model.get_submodule(module.removeprefix("base_model.model.")).weight
            weight.data += anchor["share"] * adapter.update(module)
    ids = AutoTokenizer.from_pretrained(base.path)(PROBE, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        logprobs = model(ids).logits[0, :-1].log_softmax(-1).gather(-1, ids[0, 1:, None])[:, 0]
    error = torch.tensor(probed).sub(logprobs).abs().mean().item()
    for other in (loop.run(engine.probe(None)), *(loop.run(engine.probe(p)) for p in resolver.roster.policies())):
        assert torch.tensor(probed).sub(torch.tensor(other)).abs().mean().item() > 3 * error
    assert error < 0.1


def test_a_reload_under_load_loses_nothing_and_switches_every_later_request(client, loop, policies, new_version, send):
    old, new = policies.profile("left").version, new_version(20)

    async def ask(count):
        return await asyncio.gather(*(client.post("/generate?profile=left", json=QUESTION) for _ in range(count)))

    async def burst():
        asking = asyncio.create_task(ask(24))
        await asyncio.sleep(0.5)
        policies.promote("left", new, force=True)
        reply = await client.post("/admin/reload")
        return reply, await asking, await ask(4)

    reply, during, after = loop.run(burst())
    assert reply.status_code == 200
    assert Counter(reply.status_code for reply in [*during, *after]) == {200: 28}
    assert {reply.json()["policy"]["version"] for reply in during} <= {old, new}
    assert during[0].json()["policy"]["version"] == old
    assert {reply.json()["policy"]["version"] for reply in after} == {new}
    assert send("POST", f"/generate?profile=left@{old}", json=QUESTION).json()["policy"]["version"] == old


def test_a_corrupt_promotion_is_refused_as_it_is_noticed_and_the_old_version_stays(policies, new_version, send):
    old, new = policies.profile("left").version, new_version(21)
    policies.promote("left", new, force=True)
    wait_until(lambda: version_of(send, "left") == new)
    file = policies.path("left", old) / "adapter_model.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    profiles = policies.root / "profiles.toml"
    profiles.write_text(profiles.read_text().replace(new, old))
    wait_until(lambda: send("GET", "/profiles").json()["refused"])
    assert version_of(send, "left") == new
    assert "restore it" in send("GET", "/profiles").json()["refused"][0]["reason"]
    assert send("GET", "/readyz").status_code == 200
    file.write_bytes(whole)
    assert send("POST", "/admin/reload").json()["refused"] == []
    assert version_of(send, "left") == old


def test_a_killed_engine_is_said_within_seconds_and_replaced_and_no_request_is_lost(client, loop, send):
    (engine,) = [child for child in multiprocessing.active_children() if "EngineCore" in child.name]

    async def burst():
        long = QUESTION | {"max_tokens": 512, "temperature": 1.5}
        asking = [asyncio.create_task(client.post("/generate?profile=right", json=long)) for _ in range(12)]
        await asyncio.sleep(1)
        os.kill(engine.pid, signal.SIGKILL)
        began = time.monotonic()
        while (await client.get("/readyz")).status_code == 200:
            await asyncio.sleep(0.05)
        return time.monotonic() - began, await asyncio.gather(*asking)

    red_after, replies = loop.run(burst())
    assert red_after < 10
    outcomes = Counter(reply.status_code for reply in replies)
    assert outcomes[200] + outcomes[503] == 12
    assert outcomes[503] >= 1
    refused = next(reply for reply in replies if reply.status_code == 503)
    assert "being restarted" in refused.json()["error"]["message"]
    assert send("GET", "/livez").status_code == 200
    assert send("POST", "/generate?profile=right", json=QUESTION).status_code == 503
    wait_until(lambda: send("GET", "/readyz").status_code == 200, seconds=500)
    for name in ("profile=left", "profile=right", "weights=0.4,0.4333,0.1667"):
        assert send("POST", f"/generate?{name}", json=QUESTION).status_code == 200
    assert "fg_engine_restarts_total 1.0" in send("GET", "/metrics").text


def version_of(send, profile):
    listed = send("GET", "/profiles").json()["profiles"]
    return next(entry["policy"]["version"] for entry in listed if entry["profile"] == profile)


def wait_until(condition, seconds=60):
    for _ in range(seconds * 10):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("it did not happen in time")
