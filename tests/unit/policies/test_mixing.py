import json
import shutil
from itertools import permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.adapters.lora import LoraAdapter
from policies.manifest import Named, SeenFeedback, UsedRewards, Versioned
from policies.mixing import MIXTURE, Mixture, anchors, compress, mix, mixture_for, store_mixture
from policies.store import PolicyStore
from policies.verification import problem
from policies.weights import Weights
from rewards.errors import FgctlError

CORNERS = {"brief": "8,1,1", "factual": "1,8,1", "complete": "1,1,8"}
BASE = "b" * 64


@pytest.fixture
def store(tmp_path, write_policy):
    """Three promoted policies near the corners."""
    store = PolicyStore(tmp_path / "policies")
    for seed, (profile, weights) in enumerate(CORNERS.items()):
        store.promote(profile, write_policy(store, profile, seed, weights=weights).version)
    return store


def adapter_of(store, profile):
    return LoraAdapter(store.path(profile, store.profile(profile).version))


def updates(adapter):
    return {module: adapter.update(module) for module in sorted(adapter.modules)}


def summed(parts):
    """The slow way: whole updates, added."""
    return {
        module: sum(share * adapter.update(module) for adapter, share in parts)
        for module in sorted(parts[0][0].modules)
    }


def same(updates, expected, tolerance=1e-5):
    return (
        all(torch.allclose(updates[module], expected[module], atol=tolerance) for module in updates)
        and updates.keys() == expected.keys()
    )


def product(mixed):
    return {module: up @ down for module, (down, up) in mixed.factors.items()}


def test_a_mixture_is_the_weighted_sum_of_the_updates(store):
    parts = [(adapter_of(store, name), share) for name, share in zip(CORNERS, (0.2, 0.3, 0.5), strict=True)]
    mixed = mix(parts)
    assert (mixed.rank, mixed.tail_energy) == (6, 0)
    assert same(product(mixed), summed(parts))


def test_an_adapter_alone_is_itself(store):
    brief = adapter_of(store, "brief")
    assert same(product(mix([(brief, 1.0)])), updates(brief))


@settings(deadline=None, max_examples=10)
@given(st.floats(0, 1))
def test_mixtures_of_mixtures_are_mixtures(share):
    generator = torch.Generator().manual_seed(1)
    a, b = (torch.randn(2, 8, generator=generator) for _ in range(2))
    up_a, up_b = (torch.randn(6, 2, generator=generator) for _ in range(2))
    down = torch.cat([a, b])
    up = torch.cat([share * up_a, (1 - share) * up_b], dim=1)
    assert torch.allclose(up @ down, share * (up_a @ a) + (1 - share) * (up_b @ b), atol=1e-5)
    again_down, again_up, squares = compress(down, up, 4)
    assert torch.allclose(again_up @ again_down, up @ down, atol=1e-4)
    assert float(squares.sum()) == pytest.approx(float((up @ down).square().sum()), rel=1e-4)


def test_scales_of_different_kinds_are_applied(store):
    root = adapter_of(store, "factual").directory / "adapter_config.json"
    config = json.loads(root.read_text())
    root.write_text(json.dumps(config | {"use_rslora": True, "lora_alpha": 3}))
    parts = [(adapter_of(store, "brief"), 0.5), (LoraAdapter(root.parent), 0.5)]
    assert same(product(mix(parts)), summed(parts))


def test_compression_leaves_out_what_it_says(store):
    parts = [(adapter_of(store, name), 1 / 3) for name in CORNERS]
    whole, small = product(mix(parts)), mix(parts, rank=2)
    assert small.rank == 2
    apart = sum(float((whole[m] - u).square().sum()) for m, u in product(small).items())
    energy = sum(float(u.square().sum()) for u in whole.values())
    assert small.tail_energy == pytest.approx(apart / energy, rel=1e-3)
    for module, (down, up) in small.factors.items():
        u, s, v = torch.linalg.svd(whole[module])
        assert torch.allclose(up @ down, u[:, :2] * s[:2] @ v[:2], atol=1e-4)
    assert mix(parts, rank=6).tail_energy == 0
    assert mix(parts, rank=64).rank == 6


def test_weights_are_reached_whatever_the_order_of_the_anchors(store):
    stored = anchors(store, BASE)
    wanted = Weights.parse("0.3,0.5,0.2")
    mixtures = [mixture_for(wanted, order) for order in permutations(stored)]
    assert {mixture.key(8) for mixture in mixtures} == {mixtures[0].key(8)}
    assert mixtures[0].served.same_as(wanted)
    assert mixtures[0].anchor is None
    stored = {store_mixture(store, mixture).version for mixture in mixtures}
    assert len(stored) == 1


def test_a_trained_point_is_its_own_policy_and_one_out_of_reach_is_served_by_the_nearest(store):
    stored = anchors(store, BASE)
    assert mixture_for(Weights.parse("1,8,1"), stored).anchor.manifest.profile == "factual"
    outside = mixture_for(Weights.parse("1,0,0"), stored)
    assert outside.anchor.manifest.profile == "brief"
    edge = mixture_for(Weights.parse("1,1,0"), stored)
    assert edge.served.same_as(Weights.parse("4.5,4.5,1"))


def test_a_stored_mixture_is_a_policy_that_says_what_it_is_made_of(store):
    mixture = mixture_for(Weights.parse("1,1,1"), anchors(store, BASE))
    stored = store_mixture(store, mixture, rank=2)
    assert stored.profile == MIXTURE
    assert stored.weights.same_as(Weights.parse("1,1,1"))
    made = stored.recipe[MIXTURE]
    assert {(anchor["profile"], round(anchor["share"], 4)) for anchor in made["anchors"]} == {
        (n, 0.3333) for n in CORNERS
    }
    assert made["rank"] == 2
    assert 0 < made["tail_energy"] < 1
    assert problem(store, MIXTURE, stored.version) is None
    directory = store.verify(MIXTURE, stored.version)
    assert "The exact mixture of" in (directory / "README.md").read_text()
    kept = LoraAdapter(directory)
    assert {kept.scale(module) for module in kept.modules} == {1}
    again = product(mix([(LoraAdapter(a.path), share) for a, share in mixture.shares], rank=2))
    assert same(updates(kept), again, tolerance=0.05)


def test_mixtures_broken_policies_and_other_bases_are_no_anchors(store, write_policy):
    mixture = mixture_for(Weights.parse("1,1,1"), anchors(store, BASE))
    mixed = store_mixture(store, mixture, profile="even")
    store.promote("even", mixed.version)
    adapter_of(store, "brief").directory.joinpath("adapter_model.safetensors").write_bytes(b"damaged")
    assert {a.manifest.profile for a in anchors(store, BASE)} == {"factual", "complete"}
    assert anchors(store, "c" * 64) == ()
    with pytest.raises(FgctlError, match="no trained policy to mix"):
        mixture_for(Weights.parse("1,1,1"), ())


@pytest.fixture
def with_gentle(store, write_policy):
    """The store's policies with a parent, and one that was trained from the base for another category."""
    parent = Versioned(version="0f0f0f0f0f0f", digest="d" * 64)
    for seed, (profile, weights) in enumerate(CORNERS.items(), 20):
        store.promote(profile, write_policy(store, profile, seed, weights=weights, parent=parent).version)
    store.promote("gentle", write_policy(store, "gentle", 30, weights="toxicity=1").version)
    return store


def test_only_policies_that_share_a_parent_are_mixed(with_gentle):
    among = anchors(with_gentle, BASE)
    mixture = mixture_for(Weights.parse("0.3,0.5,0.2"), among)
    assert {anchor.manifest.profile for anchor, _ in mixture.shares} == set(CORNERS)
    assert mixture.served.same_as(Weights.parse("0.3,0.5,0.2"))
    assert mixture_for(Weights({"toxicity": 1}), among).anchor.manifest.profile == "gentle"
    with pytest.raises(FgctlError, match="Only policies that share a parent can be mixed") as refused:
        mixture_for(Weights({"factuality": 0.5, "toxicity": 0.5}), among)
    assert "gentle from the base" in str(refused.value)
    assert "from sft@0f0f0f0f0f0f" in str(refused.value)


def test_a_mixture_of_several_parents_is_not_stored(with_gentle):
    by_name = {anchor.manifest.profile: anchor for anchor in anchors(with_gentle, BASE)}
    mixture = Mixture(by_name["brief"].weights, ((by_name["brief"], 0.5), (by_name["gentle"], 0.5)))
    with pytest.raises(FgctlError, match=r"brief@.* was trained from sft@0f0f0f0f0f0f and gentle@.* from the base"):
        store_mixture(with_gentle, mixture)


def test_policies_of_different_bases_are_not_mixed(store, write_policy):
    foreign = write_policy(store, "foreign", 7, weights="1,1,1", base=Named(name="trunk", digest="c" * 64)).version
    store.promote("foreign", foreign)
    mine, (other,) = anchors(store, BASE)[0], anchors(store, "c" * 64)
    with pytest.raises(FgctlError, match=rf"{mine.name} was trained on 'base' and foreign@{foreign} on 'trunk'; mix"):
        store_mixture(store, Mixture(mine.weights, ((mine, 0.5), (other, 0.5))))
    assert store.versions(MIXTURE) == []


def test_anchors_that_change_different_modules_are_mixed_exactly(store, write_policy):
    def fewer(tensors):
        for name in [name for name in tensors if ".layers.2." in name]:
            del tensors[name]

    odd = write_policy(store, "odd", 7, weights="1,1,1", change=fewer)
    parts = [(LoraAdapter(store.path("odd", odd.version)), 0.5), (adapter_of(store, "brief"), 0.5)]
    mixed = mix(parts)
    whole = {
        module: 0.5 * parts[0][0].update(module) + 0.5 * parts[1][0].update(module) for module in parts[1][0].modules
    }
    assert mixed.rank == 4
    assert {len(down) for down, _ in mixed.factors.values()} == {4}
    assert same(product(mixed), whole)
    assert 0 < mix(parts, rank=2).tail_energy < 1


def test_every_module_is_mixed_by_its_own_rank_and_scale(store):
    patterns = {"r": 3, "rank_pattern": {"[qv]_proj": 2}, "alpha_pattern": {r"layers\.1\..*": 6}, "use_rslora": True}
    file = adapter_of(store, "factual").directory / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | patterns))
    parts = [(adapter_of(store, "brief"), 0.5), (LoraAdapter(file.parent), 0.5)]
    assert same(product(mix(parts)), summed(parts))
    first = next(module for module in parts[1][0].modules if ".1." in module)
    assert parts[1][0].scale(first) == pytest.approx(6 / 2**0.5)


def test_a_mixture_names_every_module_that_it_changes(store):
    stored = store_mixture(store, mixture_for(Weights.parse("1,1,1"), anchors(store, BASE)))
    adapter = LoraAdapter(store.usable(MIXTURE, stored.version))
    assert {f"base_model.model.{name}" for name in adapter.config.target_modules} == adapter.modules


def test_adapters_of_different_bases_are_not_mixed(store, write_policy):
    def wider(tensors):
        for name in tensors:
            if "lora_A" in name:
                tensors[name] = torch.ones(2, 5)

    odd = write_policy(store, "odd", 7, weights="1,1,1", change=wider)
    parts = [(adapter_of(store, "brief"), 0.5), (LoraAdapter(store.path("odd", odd.version)), 0.5)]
    with pytest.raises(FgctlError, match="have different shapes of"):
        mix(parts)


def test_a_policy_that_a_service_refuses_is_no_anchor(store, write_policy):
    file = adapter_of(store, "brief").directory / "adapter_config.json"
    spoilt = json.loads(file.read_text()) | {"init_lora_weights": "pissa"}
    scratch = store.root.parent / "spoilt"
    shutil.copytree(file.parent, scratch)
    (scratch / "adapter_config.json").write_text(json.dumps(spoilt))
    set_by_store = {"profile", "version", "digest", "created", "fgctl"}
    manifest = store.manifest("brief", file.parent.name).model_dump(exclude=set_by_store)
    version = store.write("brief", scratch, manifest).version
    profiles = store.root / "profiles.toml"
    profiles.write_text(profiles.read_text().replace(file.parent.name, version))
    assert {anchor.manifest.profile for anchor in anchors(store, BASE)} == {"factual", "complete"}


def test_reward_models_are_the_same_whether_or_not_their_feedback_was_recorded(tmp_path, write_policy):
    store = PolicyStore(tmp_path / "policies")
    seen = SeenFeedback(data=(Named(name="feedback.json", digest="f"),), questions=2, annotations=3)
    for seed, (profile, weights) in enumerate(CORNERS.items()):
        rewards = UsedRewards(version="v", digest="d", feedback=seen if seed else None)
        store.promote(profile, write_policy(store, profile, seed, weights=weights, rewards=rewards).version)
    stored = store_mixture(store, mixture_for(Weights.parse("1,1,1"), anchors(store, BASE)))
    assert (stored.rewards.version, stored.rewards.digest) == ("v", "d")
