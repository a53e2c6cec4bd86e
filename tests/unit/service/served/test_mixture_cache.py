import os

import pytest

from policies.mixing import MIXTURE, anchors, mixture_for
from policies.store import PolicyStore
from policies.weights import Weights
from service.served.mixture_cache import MixtureCache

CORNERS = {"brief": "8,1,1", "factual": "1,8,1", "complete": "1,1,8"}


@pytest.fixture
def mixture(tmp_path, write_policy):
    store = PolicyStore(tmp_path / "policies")
    for seed, (profile, weights) in enumerate(CORNERS.items()):
        store.promote(profile, write_policy(store, profile, seed, weights=weights).version)
    points = anchors(store, "b" * 64)
    return lambda weights: mixture_for(Weights.parse(weights), points)


@pytest.fixture
def root(tmp_path):
    return tmp_path / "mixtures"


def versions(root):
    return {path.name for path in (root / MIXTURE).iterdir() if path.is_dir()}


def test_a_mixture_is_computed_once_even_by_several_processes(root, mixture):
    first, path, stored = MixtureCache(root, 4).get(mixture("1,1,1"), 2)
    assert not stored
    assert path == root / MIXTURE / first.version
    again, same_path, stored = MixtureCache(root, 4).get(mixture("1,1,1"), 2)
    assert stored
    assert (again.version, same_path) == (first.version, path)
    assert MixtureCache(root, 4).get(mixture("1,1,1"), 4)[0].version != first.version


def test_a_damaged_mixture_is_made_again(root, mixture):
    cache = MixtureCache(root, 4)
    made, path, _ = cache.get(mixture("1,1,1"), 2)
    (path / "adapter_model.safetensors").write_bytes(b"damaged")
    again, _, stored = cache.get(mixture("1,1,1"), 2)
    assert (again.version, stored) == (made.version, False)
    assert cache.get(mixture("1,1,1"), 2)[2]


def test_the_least_recently_used_is_removed_but_not_what_was_used_just_now(root, mixture):
    cache = MixtureCache(root, 2)
    wanted = ["2,1,1", "1,2,1", "1,1,2"]
    made = [cache.get(mixture(weights), 2)[0].version for weights in wanted]
    assert versions(root) == set(made)
    for age, weights in ((3000, "2,1,1"), (2000, "1,2,1"), (1000, "1,1,2")):
        file = root / "index" / mixture(weights).key(2)
        os.utime(file, (file.stat().st_atime - age, file.stat().st_mtime - age))
    cache.get(mixture("2,1,1"), 2)
    newest = cache.get(mixture("1,1,1"), 2)[0].version
    assert versions(root) == {made[0], newest}


def test_a_mixture_in_steady_use_stays_although_it_is_never_read_again(root, mixture):
    cache = MixtureCache(root, 1)
    used = cache.get(mixture("2,1,1"), 2)[0].version
    file = root / "index" / mixture("2,1,1").key(2)
    os.utime(file, (file.stat().st_atime - 3000, file.stat().st_mtime - 3000))
    cache.used(mixture("2,1,1"), 2)
    newest = cache.get(mixture("1,1,1"), 2)[0].version
    assert versions(root) == {used, newest}
    cache.used(mixture("1,2,1"), 2)  # which is not stored, as if another process had removed it
