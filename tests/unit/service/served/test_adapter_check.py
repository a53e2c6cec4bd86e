"""Adapters that an engine ignores on one of its ranks."""

from types import SimpleNamespace

import pytest

from rewards.errors import FgctlError
from service.served.adapter_check import AdapterCheck

pytestmark = pytest.mark.anyio


class RankedEngine:
    """Two ranks; the second ignores the adapters in `ignored`."""

    ranks = 2

    def __init__(self):
        self.ignored, self.loaded = set(), []

    async def load(self, policy):
        self.loaded.append(policy.adapter_name)

    async def unload(self, policy):
        self.loaded.remove(policy.adapter_name)

    async def probe(self, policy, rank=0):
        ignores = rank == 1 and policy is not None and policy.adapter_name in self.ignored
        # The ranks' rounding differs, as that of different batches does.
        return [-1.0 - 0.01 * rank, -2.0 if policy is None or ignores else -float(policy.number)]


def policy(number):
    return SimpleNamespace(adapter_name=f"medium@{number}", profile="medium", path="", number=number)


async def test_an_adapter_that_one_rank_ignores_is_refused():
    engine = RankedEngine()
    check = AdapterCheck(engine)
    await check.load(policy(3))
    engine.ignored.add("medium@4")
    with pytest.raises(FgctlError, match="medium@4 answers just like the base"):
        await check.load(policy(4))
    assert engine.loaded == ["medium@3"]


async def test_an_adapter_that_answers_like_another_on_every_rank_is_refused():
    check = AdapterCheck(RankedEngine())
    first, twin = policy(3), SimpleNamespace(**vars(policy(3)) | {"adapter_name": "long@3", "profile": "long"})
    await check.load(first)
    with pytest.raises(FgctlError, match="long@3 answers just like profile medium"):
        await check.load(twin, [first])
