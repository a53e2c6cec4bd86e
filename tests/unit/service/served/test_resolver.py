"""Reloads, canaries, pinned versions and mixtures, over a real store and an engine that is a stand-in."""

import asyncio
import logging
import shutil

import pytest
import torch

from policies.manifest import Versioned
from policies.store import SFT, PolicyStore
from policies.trunk import trunk_name
from service.domain.roster import Roster
from service.domain.selection import Selection
from service.engine.engine import _lora_request
from service.served import watch_file as watching_files
from service.served.watch_file import watch

pytestmark = pytest.mark.anyio
QUESTION = {"question": "Where?"}
CORNERS = {"short": "8,1,1", "medium": "1,8,1", "long": "1,1,8"}


@pytest.fixture
def write(service, write_policy):
    """Stores a version of a profile; another seed is another version."""

    def stored(profile, seed, **fields):
        return write_policy(service.store, profile, seed, weights=CORNERS[profile], **fields).version

    return stored


@pytest.fixture
async def loaded(service, write):
    """A service whose three policies are read from the store."""
    for seed, profile in enumerate(CORNERS):
        service.store.promote(profile, write(profile, seed))
    service.resolver.roster = Roster()
    await service.resolver.reload()
    return service


async def test_a_promotion_is_served_after_a_reload(loaded, write):
    old = (await loaded.ask(profile="long")).json()["policy"]["version"]
    new = write("long", 9)
    loaded.store.promote("long", new, force=True)
    assert (await loaded.ask(profile="long")).json()["policy"]["version"] == old
    reply = await loaded.client.post("/admin/reload")
    assert reply.status_code == 200
    assert {p["profile"]: p["policy"]["version"] for p in reply.json()["profiles"]}["long"] == new
    assert (await loaded.ask(profile="long")).json()["policy"]["version"] == new
    assert f"long@{old}" not in loaded.engine.loaded
    assert loaded.metric("fg_requests_total", profile="long", policy=new, outcome="ok") == 1


async def test_a_request_ends_on_the_version_it_began_with(loaded, write):
    loaded.engine.hold = asyncio.Event()
    old = loaded.backend.roster.served["long"]
    asking = asyncio.create_task(loaded.ask(profile="long"))
    while not loaded.engine.asked:
        await asyncio.sleep(0.001)
    loaded.store.promote("long", write("long", 9), force=True)
    await loaded.resolver.reload()
    assert old.adapter_name in loaded.engine.loaded
    loaded.engine.hold.set()
    assert (await asking).json()["policy"]["version"] == old.version
    for _ in range(5):
        await asyncio.sleep(0)
    assert old.adapter_name not in loaded.engine.loaded


def damage(store, profile, version):
    (store.path(profile, version) / "adapter_model.safetensors").write_bytes(b"damaged")


@pytest.mark.parametrize("fault", ["damaged", "unloadable", "idle", "twin", "large"])
async def test_a_broken_version_is_refused_and_the_old_one_stays(loaded, write, fault):
    old = loaded.backend.roster.served["long"].version
    new = write("long", 9)
    loaded.store.promote("long", new, force=True)
    name = f"long@{new}"
    if fault == "damaged":
        damage(loaded.store, "long", new)
    elif fault == "unloadable":
        loaded.engine.broken.add(name)
    elif fault == "idle":
        loaded.engine.echoes[name] = "base"
    elif fault == "twin":
        loaded.engine.echoes[name] = loaded.backend.roster.served["short"].adapter_name
    else:
        loaded.engine.not_loadable[name] = f"{name} has rank 64, and the engine takes 8; restart the service."
    reply = (await loaded.client.post("/admin/reload")).json()
    reason = {
        "damaged": "restore it",
        "unloadable": "cannot load",
        "idle": "just like the base",
        "twin": "just like profile short",
        "large": "rank 64",
    }[fault]
    assert reason in reply["refused"][0]["reason"]
    assert f"long@{old} is served instead" in reply["refused"][0]["reason"]
    assert (await loaded.ask(profile="long")).json()["policy"]["version"] == old
    ready = await loaded.client.get("/readyz")
    assert (ready.status_code, list(ready.json()["refused"])) == (200, ["long"])
    assert loaded.metric("fg_policy_refused", profile="long") == 1
    loaded.store.rollback("long")
    await loaded.resolver.reload()
    assert loaded.backend.roster.refused == {}
    assert loaded.metric("fg_policy_refused", profile="long") == 0


async def test_a_profile_that_was_broken_from_the_start_says_so_and_the_others_are_served(service, write):
    for seed, profile in enumerate(CORNERS):
        service.store.promote(profile, write(profile, seed))
    damage(service.store, "long", service.store.profile("long").version)
    service.resolver.roster = Roster()
    await service.resolver.reload()
    assert list(service.backend.roster.served) == ["short", "medium"]
    assert "restore it" in service.backend.roster.broken["long"]
    assert (await service.client.get("/readyz")).status_code == 503


async def test_profiles_that_cannot_be_read_change_nothing(loaded):
    (loaded.store.root / "profiles.toml").write_text("[short\n")
    reply = await loaded.client.post("/admin/reload")
    assert reply.status_code == 503
    assert "Nothing was changed" in reply.json()["error"]["message"]
    assert (await loaded.ask(profile="short")).status_code == 200


@pytest.mark.parametrize("damage_file", [lambda file: file.write_text(""), lambda file: file.unlink()])
async def test_a_file_without_profiles_changes_nothing(loaded, damage_file):
    served = dict(loaded.backend.roster.served)
    damage_file(loaded.store.root / "profiles.toml")
    reply = await loaded.client.post("/admin/reload")
    assert reply.status_code == 503
    assert "names no profile" in reply.json()["error"]["message"]
    assert loaded.backend.roster.served == served
    assert (await loaded.ask(weights="0.4,0.3,0.3")).json()["profile"] == "mixture"
    assert (await loaded.client.get("/readyz")).status_code == 200


async def test_a_profile_that_the_file_does_not_name_any_more_is_served_on_and_reported(loaded):
    old = loaded.backend.roster.served["long"]
    before = (await loaded.ask(weights="0.4,0.3,0.3")).json()["policy"]["version"]
    profiles = loaded.store.root / "profiles.toml"
    whole = profiles.read_text()
    profiles.write_text(whole[: whole.index("[long]")])
    reply = (await loaded.client.post("/admin/reload")).json()
    assert [entry["profile"] for entry in reply["refused"]] == ["long"]
    assert "does not name long any more" in reply["refused"][0]["reason"]
    assert (await loaded.ask(profile="long")).json()["policy"]["version"] == old.version
    assert (await loaded.ask(weights="0.4,0.3,0.3")).json()["policy"]["version"] == before
    assert old.adapter_name in loaded.engine.loaded
    profiles.write_text(whole)
    assert (await loaded.client.post("/admin/reload")).json()["refused"] == []


async def test_a_profile_that_is_not_to_be_served_any_more_is_not(loaded):
    profiles = loaded.store.root / "profiles.toml"
    profiles.write_text(profiles.read_text().replace("[long]\n", "[long]\nserved = false\n"))
    assert (await loaded.client.post("/admin/reload")).json()["refused"] == []
    assert (await loaded.ask(profile="long")).status_code == 404
    assert (await loaded.client.get("/readyz")).status_code == 200


async def test_a_service_without_any_policy_is_not_ready(loaded):
    profiles = loaded.store.root / "profiles.toml"
    profiles.write_text(profiles.read_text().replace("]\n", "]\nserved = false\n"))
    assert (await loaded.client.post("/admin/reload")).status_code == 200
    ready = await loaded.client.get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (503, "broken")


async def test_until_started_a_reload_is_asked_to_come_back(starting):
    assert (await starting.client.post("/admin/reload")).status_code == 503


async def test_a_canary_gets_its_share_of_callers_always_the_same(loaded, write):
    new = write("long", 9)
    loaded.store.set_canary("long", new, 0.3)
    await loaded.resolver.reload()
    callers = [f"caller-{i}" for i in range(1000)]
    drawn = [(await loaded.resolver.resolve(Selection("long"), caller)).version for caller in callers]
    assert 250 < drawn.count(new) < 350
    assert drawn == [(await loaded.resolver.resolve(Selection("long"), caller)).version for caller in callers]
    assert (await loaded.resolver.resolve(Selection("short"), callers[0])).profile == "short"
    listed = (await loaded.client.get("/profiles")).json()["profiles"]
    assert [entry.get("canary") for entry in listed] == [None, None, {"version": new, "share": 0.3}]
    loaded.store.promote("long", new, force=True)
    await loaded.resolver.reload()
    assert loaded.backend.roster.canaries == {}
    assert {(await loaded.resolver.resolve(Selection("long"), caller)).version for caller in callers} == {new}


async def test_a_broken_canary_gets_no_traffic(loaded, write):
    new = write("long", 9)
    loaded.store.set_canary("long", new, 0.9)
    loaded.engine.echoes[f"long@{new}"] = "base"
    await loaded.resolver.reload()
    assert loaded.backend.roster.canaries == {}
    assert "gets no traffic" in loaded.backend.roster.refused["long"]


async def test_any_stored_version_can_be_asked_for(loaded, write):
    other = write("long", 9)
    current = loaded.store.profile("long").version
    for version in (other, current, other):
        assert (await loaded.ask(profile=f"long@{version}")).json()["policy"]["version"] == version
    assert loaded.engine.loaded.count(f"long@{other}") == 1
    for name, message in (("long@000000000000", "is not stored"), ("huge@1", "no profile"), ("sft@1", "no profile")):
        reply = await loaded.ask(profile=name)
        assert (reply.status_code, message in reply.json()["error"]["message"]) == (404, True)
    damage(loaded.store, "long", other)
    third = write("long", 10)
    damage(loaded.store, "long", third)
    assert (await loaded.ask(profile=f"long@{third}")).status_code == 404


def overwritten(tensors):
    tensors["base_model.model.lm_head.weight"] = torch.ones(1)


@pytest.mark.parametrize("fault", ["damaged", "foreign tensors", "large", "unloadable", "idle"])
async def test_a_stored_version_that_cannot_be_answered_by_is_not_there_because_no_retry_would_help(
    loaded, write, fault
):
    version = write("long", 9, change=overwritten if fault == "foreign tensors" else None)
    name = f"long@{version}"
    if fault == "damaged":
        damage(loaded.store, "long", version)
    elif fault == "unloadable":
        loaded.engine.broken.add(name)
    elif fault == "large":
        loaded.engine.not_loadable[name] = f"{name} has rank 64, and the engine takes 8; restart the service."
    elif fault == "idle":
        loaded.engine.echoes[name] = "base"
    reply = await loaded.ask(profile=name)
    assert (reply.status_code, reply.json()["error"]["type"]) == (404, "not_found")
    assert "retry-after" not in reply.headers
    reason = {
        "damaged": "restore it",
        "foreign tensors": "a whole weight of the base",
        "large": "rank 64",
        "unloadable": "cannot load",
        "idle": "just like the base",
    }[fault]
    assert reason in reply.json()["error"]["message"]
    assert str(loaded.store.root.parent) not in reply.text
    assert name not in loaded.engine.loaded
    assert (await loaded.ask(profile="long")).status_code == 200


async def test_no_reply_names_a_directory_of_the_server(service, write):
    for seed, profile in enumerate(CORNERS):
        service.store.promote(profile, write(profile, seed))
    damage(service.store, "long", service.store.profile("long").version)
    service.resolver.roster = Roster()
    await service.resolver.reload()
    replies = [
        await service.ask(profile="long"),
        await service.ask(profile=f"long@{service.store.profile('long').version}"),
        await service.client.get("/readyz"),
        await service.client.get("/profiles"),
    ]
    (service.store.root / "profiles.toml").write_text("[short\n")
    replies += [await service.client.post("/admin/reload"), await service.ask(profile="short@0123456789ab")]
    assert [reply.status_code for reply in replies] == [503, 404, 503, 200, 503, 503]
    assert not [reply.text for reply in replies if str(service.store.root.parent) in reply.text]


async def test_a_promotion_while_the_engine_is_gone_is_no_ones_fault_and_is_taken_up_by_the_next_one(loaded, write):
    old, new = loaded.backend.roster.served["long"].version, write("long", 9)
    loaded.store.promote("long", new, force=True)
    loaded.engine.gone = True
    assert (await loaded.client.post("/admin/reload")).status_code == 503
    assert loaded.backend.roster.served["long"].version == old
    assert loaded.backend.roster.refused == {}
    loaded.engine.gone = False
    await loaded.resolver.engine_restarted()
    assert loaded.backend.roster.served["long"].version == new


async def test_weights_between_the_policies_are_served_by_a_mixture(loaded):
    replies = await asyncio.gather(*(loaded.ask(weights="0.4,0.3,0.3") for _ in range(5)))
    body = replies[0].json()
    assert body["profile"] == "mixture"
    assert {reply.json()["policy"]["version"] for reply in replies} == {body["policy"]["version"]}
    assert body["weights"] == body["weights_served"] == {"relevance": 0.4, "factuality": 0.3, "completeness": 0.3}
    assert loaded.metric("fg_mixtures_built_total") == 1
    assert loaded.metric("fg_requests_total", profile="mixture", policy="mixture", outcome="ok") == 5
    named = (await loaded.ask(weights="factuality=0.3,relevance=0.4,completeness=0.3")).json()
    assert named["policy"] == body["policy"]


async def test_a_trained_point_is_its_own_policy_and_weights_out_of_reach_are_moved(loaded):
    assert (await loaded.ask(weights="1,8,1")).json()["profile"] == "medium"
    corner = (await loaded.ask(weights="0,1,0")).json()
    assert corner["profile"] == "medium"
    assert corner["weights"]["factuality"] == 1
    assert corner["weights_served"] == {"relevance": 0.1, "factuality": 0.8, "completeness": 0.1}
    edge = (await loaded.ask(weights="1,1,0")).json()
    assert edge["profile"] == "mixture"
    assert edge["weights_served"] == {"relevance": 0.45, "factuality": 0.45, "completeness": 0.1}


async def test_near_weights_share_a_mixture(loaded):
    versions = {
        (await loaded.ask(weights=weights)).json()["policy"]["version"]
        for weights in ("0.4,0.3,0.3", "0.401,0.299,0.3", "0.41,0.3,0.29")
    }
    assert len(versions) == 1


async def test_mixtures_beyond_the_limit_make_room_in_the_engine_and_come_back_from_disk(loaded):
    wanted = ["0.4,0.3,0.3", "0.3,0.4,0.3", "0.3,0.3,0.4", "0.4,0.3,0.3"]
    versions = [(await loaded.ask(weights=weights)).json()["policy"]["version"] for weights in wanted]
    assert versions[0] == versions[3]
    held = [name for name in loaded.engine.loaded if name.startswith("mixture@")]
    assert len(held) == 2
    assert loaded.metric("fg_mixtures_built_total") == 3
    assert loaded.metric("fg_weights_requests_total", result="loaded") == 4


async def test_a_caller_over_its_limits_has_nothing_built(serve, write_policy):
    service = serve(caller_requests_per_minute=2)
    for seed, (profile, weights) in enumerate(CORNERS.items()):
        service.store.promote(profile, write_policy(service.store, profile, seed, weights=weights).version)
    service.resolver.roster = Roster()
    await service.resolver.reload()
    asked = [await service.ask(weights=weights) for weights in ("0.4,0.3,0.3", "0.3,0.4,0.3", "0.3,0.3,0.4")]
    assert [reply.status_code for reply in asked] == [200, 200, 429]
    assert (await service.client.get("/v1/models/weights:0.3,0.3,0.4")).status_code == 429
    assert service.metric("fg_mixtures_built_total") == 2
    assert (await service.client.get("/v1/models/weights:0.4,0.3,0.3")).status_code == 200  # it is there


async def test_a_model_that_has_to_be_made_counts_as_a_request(serve, write_policy):
    service = serve(caller_requests_per_minute=1)
    for seed, (profile, weights) in enumerate(CORNERS.items()):
        service.store.promote(profile, write_policy(service.store, profile, seed, weights=weights).version)
    service.resolver.roster = Roster()
    await service.resolver.reload()
    assert (await service.client.get("/v1/models/weights:0.4,0.3,0.3")).status_code == 200
    assert (await service.client.get("/v1/models/weights:0.3,0.4,0.3")).status_code == 429
    assert service.metric("fg_running_completions") == 0


async def test_a_mixture_that_the_engine_holds_is_noted_as_used(loaded):
    for _ in range(2):
        assert (await loaded.ask(weights="0.4,0.3,0.3")).status_code == 200
    assert len(loaded.resolver._mixtures._noted) == 1


async def test_a_mixture_whose_files_have_disappeared_is_served_on_and_made_again_for_a_new_engine(loaded):
    before = (await loaded.ask(weights="0.4,0.3,0.3")).json()["policy"]
    shutil.rmtree(loaded.resolver._mixtures._store.path("mixture", before["version"]))
    assert (await loaded.ask(weights="0.4,0.3,0.3")).json()["policy"] == before
    assert loaded.metric("fg_mixtures_built_total") == 1
    loaded.engine.loaded.clear()
    await loaded.resolver.engine_restarted()
    assert (await loaded.ask(weights="0.4,0.3,0.3")).json()["policy"] == before
    assert loaded.metric("fg_mixtures_built_total") == 2


async def test_a_policy_that_a_new_engine_cannot_load_does_not_cost_the_others(loaded):
    damage(loaded.store, "long", loaded.store.profile("long").version)
    loaded.engine.broken.add(loaded.backend.roster.served["long"].adapter_name)
    loaded.engine.loaded.clear()
    await loaded.resolver.engine_restarted()
    assert (await loaded.ask(profile="short")).status_code == 200
    assert (await loaded.ask(profile="long")).status_code == 503
    assert "restore it" in (await loaded.client.get("/readyz")).json()["broken"]["long"]


async def test_several_promotions_at_once_make_an_idle_mixture_leave_a_full_engine(loaded, write):
    await loaded.ask(weights="0.4,0.3,0.3")
    mixture = next(name for name in loaded.engine.loaded if name.startswith("mixture"))
    loaded.engine.room = 5
    versions = [write(profile, seed) for seed, profile in enumerate(CORNERS, 20)]
    for profile, version in zip(CORNERS, versions, strict=True):
        loaded.store.promote(profile, version, force=True)
    await loaded.resolver.reload()
    refused = loaded.backend.roster.refused
    assert mixture not in loaded.engine.loaded
    assert [loaded.backend.roster.served[profile].version for profile in ("short", "medium")] == versions[:2]
    assert "as many as it can" in refused["long"]


async def test_a_refused_version_leaves_its_place_in_the_engine(loaded, write):
    before = sorted(loaded.engine.loaded)
    for seed, echo in ((9, "base"), (10, loaded.backend.roster.served["short"].adapter_name)):
        new = write("long", seed)
        loaded.engine.echoes[f"long@{new}"] = echo
        loaded.store.promote("long", new, force=True)
        await loaded.resolver.reload()
        assert loaded.backend.roster.refused
        assert sorted(loaded.engine.loaded) == before


async def test_after_a_promotion_mixtures_are_made_of_the_new_policy(loaded, write):
    before = (await loaded.ask(weights="0.4,0.3,0.3")).json()["policy"]["version"]
    loaded.store.promote("long", write("long", 9), force=True)
    await loaded.resolver.reload()
    after = (await loaded.ask(weights="0.4,0.3,0.3")).json()["policy"]["version"]
    assert after != before


async def test_an_anchor_serves_to_mix_and_for_its_own_weights_but_not_by_name(loaded, write_policy):
    anchor = write_policy(loaded.store, "even", 5, weights="1,1,1").version
    loaded.store.promote("even", anchor, served=False)
    await loaded.resolver.reload()
    assert (await loaded.ask(profile="even")).status_code == 404
    reply = (await loaded.ask(weights="1,1,1")).json()
    assert reply["policy"] == {"name": "even", "version": anchor}


def made_of(service, reply):
    """The policies that the mixture of a reply was made of."""
    mixtures = service.resolver._mixtures._store
    recipe = mixtures.manifest("mixture", reply.json()["policy"]["version"]).recipe
    return {f"{anchor['profile']}@{anchor['version']}" for anchor in recipe["mixture"]["anchors"]}


async def test_a_refused_version_is_not_mixed_either(loaded, write):
    old = [policy.adapter_name for policy in loaded.backend.roster.served.values()]
    new = write("long", 9)
    loaded.store.promote("long", new, force=True)
    loaded.engine.echoes[f"long@{new}"] = "base"
    await loaded.resolver.reload()
    reply = await loaded.ask(weights="0.4,0.3,0.3")
    assert made_of(loaded, reply) == set(old)


async def test_mixtures_are_made_without_a_broken_profile(service, write):
    for seed, profile in enumerate(CORNERS):
        service.store.promote(profile, write(profile, seed))
    service.engine.echoes[f"long@{service.store.profile('long').version}"] = "base"
    service.resolver.roster = Roster()
    await service.resolver.reload()
    reply = await service.ask(weights="0.4,0.3,0.3")
    served = {policy.adapter_name for policy in service.backend.roster.served.values()}
    assert made_of(service, reply) == served
    assert {name.partition("@")[0] for name in served} == {"short", "medium"}


@pytest.mark.parametrize("fault", ["damaged", "unloadable", "idle", "foreign tensors"])
async def test_an_anchor_that_cannot_be_used_is_refused_and_its_older_version_is_mixed(loaded, write_policy, fault):
    old = write_policy(loaded.store, "even", 5, weights="1,1,1").version
    loaded.store.promote("even", old, served=False)
    await loaded.resolver.reload()
    assert loaded.backend.roster.refused == {}
    assert f"even@{old}" not in loaded.engine.loaded
    change = overwritten if fault == "foreign tensors" else None
    new = write_policy(loaded.store, "even", 6, weights="1,1,1", change=change).version
    profiles = loaded.store.root / "profiles.toml"
    profiles.write_text(profiles.read_text().replace(old, new))
    if fault == "damaged":
        damage(loaded.store, "even", new)
    elif fault == "unloadable":
        loaded.engine.broken.add(f"even@{new}")
    elif fault == "idle":
        loaded.engine.echoes[f"even@{new}"] = "base"
    await loaded.resolver.reload()
    assert loaded.backend.roster.refused["even"].startswith(f"even@{old} is mixed instead. ")
    assert (await loaded.client.get("/readyz")).status_code == 200
    assert loaded.metric("fg_policy_refused", profile="even") == 1
    assert (await loaded.ask(weights="1,1,1")).json()["policy"]["version"] == old
    mixed = made_of(loaded, await loaded.ask(weights="0.4,0.3,0.3"))
    assert f"even@{old}" in mixed
    assert f"even@{new}" not in mixed


async def test_a_new_engine_is_given_the_policies_of_the_roster(loaded):
    await loaded.ask(weights="0.4,0.3,0.3")
    loaded.engine.loaded.clear()
    await loaded.resolver.engine_restarted()
    assert len(loaded.engine.loaded) == 3
    await loaded.ask(weights="0.4,0.3,0.3")
    assert len(loaded.engine.loaded) == 4


@pytest.fixture
async def watched(loaded, monkeypatch):
    """The service, which looks at its store every few milliseconds; `noticed` is set by each reload."""
    monkeypatch.setattr(watching_files, "EVERY", 0.01)
    loaded.noticed = asyncio.Event()

    async def reload():
        loaded.noticed.set()
        await loaded.resolver.reload()

    watching = asyncio.create_task(watch(loaded.store.signature, reload, "the policies"))
    await asyncio.sleep(0.1)
    yield loaded
    watching.cancel()


async def serves(service, version):
    async with asyncio.timeout(60):
        while service.backend.roster.served["long"].version != version:
            await asyncio.sleep(0.01)


async def test_the_store_is_watched_also_after_a_reload_that_failed(watched, write):
    (watched.store.root / "profiles.toml").write_text("[broken\n")
    async with asyncio.timeout(60):
        await watched.noticed.wait()
    new = write("long", 9)
    versions = {profile: policy.version for profile, policy in watched.backend.roster.served.items()} | {"long": new}
    text = "".join(f'[{profile}]\nversion = "{version}"\n' for profile, version in versions.items())
    (watched.store.root / "profiles.toml").write_text(text)
    await serves(watched, new)


async def test_promotions_are_followed_after_the_stores_directory_was_replaced(watched, write):
    root = watched.store.root
    shutil.copytree(root, root.with_name("new"))
    root.rename(root.with_name("old"))
    await asyncio.sleep(0.1)
    root.with_name("new").rename(root)
    for seed in (9, 10):
        new = write("long", seed)
        watched.store.promote("long", new, force=True)
        await serves(watched, new)


class OnTrunk:
    """A store whose policies are adapters of trunks."""

    def __init__(self, store, write_policy):
        self.store, self._write = store, write_policy

    def parent(self, seed, **fields):
        """Promote a parent, merged unless told otherwise; its version."""
        version = self._write(self.store, SFT, seed, weights=None, **{"merged": True} | fields).version
        self.store.promote(SFT, version)
        return version

    def policies(self, parent, first_seed):
        """Promote a policy of every profile on the trunk of a parent; their versions."""
        lineage = {"base": trunk_name(self.store, parent), "parent": Versioned(version=parent, digest="d")}
        versions = {}
        for seed, (profile, weights) in enumerate(CORNERS.items(), first_seed):
            versions[profile] = self._write(self.store, profile, seed, weights=weights, **lineage).version
            self.store.promote(profile, versions[profile], force=True)
        return versions


@pytest.fixture
def trunks(tmp_path, write_policy):
    return OnTrunk(PolicyStore(tmp_path / "policies"), write_policy)


@pytest.fixture
async def on_trunk(trunks, serve):
    """A service on the trunk of the parent that `trunks` has as its current one."""
    parent = trunks.parent(40)
    trunks.policies(parent, 0)
    service = serve(base=trunk_name(trunks.store, parent))
    service.resolver.roster = Roster()
    await service.resolver.reload()
    return service


async def test_on_a_trunk_the_parent_is_the_engines_model_without_an_adapter(on_trunk):
    version = on_trunk.store.profile(SFT).version
    for profile in (SFT, f"{SFT}@{version}"):
        reply = await on_trunk.ask(profile=profile)
        assert reply.json()["policy"] == {"name": SFT, "version": version}
    policies = [policy for _, _, policy, _ in on_trunk.engine.asked]
    assert [_lora_request(policy) for policy in policies] == [None, None]
    assert f"{SFT}@{version}" not in on_trunk.engine.loaded
    assert on_trunk.metric("fg_requests_total", profile=SFT, policy=version, outcome="ok") == 2
    chosen = await on_trunk.ask(QUESTION | {"passages": [{"title": "T", "text": "Here."}], "best_of": 2}, profile=SFT)
    assert chosen.json()["weights"] == pytest.approx(dict.fromkeys(("relevance", "factuality", "completeness"), 0.333))
    # It is beside the profiles: users who choose a trade-off do not get it.
    assert [p["profile"] for p in (await on_trunk.client.get("/profiles")).json()["profiles"]] == list(CORNERS)
    assert (await on_trunk.ask(weights="1,1,1")).json()["profile"] == "mixture"
    assert (await on_trunk.ask(profile=f"{SFT}@000000000000")).status_code == 404
    on_trunk.engine.loaded.clear()
    await on_trunk.resolver.engine_restarted()
    assert len(on_trunk.engine.loaded) == 3
    assert (await on_trunk.ask(profile=SFT)).status_code == 200


async def test_a_parent_that_is_no_part_of_the_engines_model_is_not_served(loaded, trunks):
    trunks.parent(41, merged=False)
    await loaded.resolver.reload()
    assert (await loaded.ask(profile=SFT)).status_code == 404
    assert loaded.backend.roster.refused == {}


async def test_another_parent_is_not_served_before_a_restart_and_the_service_says_so(on_trunk, trunks, caplog):
    old = {profile: policy.version for profile, policy in on_trunk.backend.roster.served.items()}
    parent = on_trunk.store.profile(SFT).version
    new = trunks.parent(42)
    old_trunk, new_trunk = (trunk_name(trunks.store, version) for version in (parent, new))
    assert new_trunk.short == f"base+sft@{new} ({new_trunk.digest[:12]})"
    other_model = (
        f"belongs to the model {new_trunk.short}, and the engine runs {old_trunk.short}; promote a policy of "
        f"{new_trunk.short} for every profile, and restart the service."
    )
    with caplog.at_level(logging.ERROR):
        await on_trunk.client.post("/admin/reload")
    ready = await on_trunk.client.get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")
    assert ready.json()["refused"] == {SFT: f"{SFT}@{new} {other_model}"}
    assert "restart the service" in caplog.text
    assert (await on_trunk.ask(profile=SFT)).json()["policy"]["version"] == parent
    before = (await on_trunk.ask(weights="1,1,1")).json()["policy"]["version"]
    promoted = trunks.policies(new, 10)
    await on_trunk.resolver.reload()
    assert {profile: policy.version for profile, policy in on_trunk.backend.roster.served.items()} == old
    refused = (await on_trunk.client.get("/readyz")).json()["refused"]
    assert refused.keys() == {SFT, *CORNERS}
    assert refused["long"] == (f"long@{old['long']} is served instead. long@{promoted['long']} {other_model}")
    assert on_trunk.metric("fg_policy_refused", profile="long") == 1
    assert (await on_trunk.ask(profile=SFT)).json()["policy"]["version"] == parent
    assert (await on_trunk.ask(weights="1,1,1")).json()["policy"]["version"] == before
    reply = await on_trunk.ask(profile=f"long@{promoted['long']}")
    assert (reply.status_code, "retry-after" in reply.headers) == (404, False)
    assert other_model in reply.json()["error"]["message"]


async def test_a_policy_that_answers_like_the_trunk_is_refused(on_trunk, trunks):
    trunks.policies(on_trunk.store.profile(SFT).version, 20)
    name = f"long@{on_trunk.store.profile('long').version}"
    on_trunk.engine.echoes[name] = "base"
    await on_trunk.resolver.reload()
    assert list(on_trunk.backend.roster.refused) == ["long"]
    assert "just like the base" in on_trunk.backend.roster.refused["long"]
