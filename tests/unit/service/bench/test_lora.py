"""The benchmark of adapters: the work of its engines and the arithmetic of its report, without a clock."""

import io
import json
from contextlib import nullcontext

import pytest

from rewards.errors import FgctlError
from service.bench.engine_process import Work
from service.bench.lora import ENGINES, LOADS, MIXES, Load, batches, measure, report, take_turns
from service.settings import Settings

ADAPTERS = ["/a", "/b", "/c"]


class Engine:
    """Reports a fixed number of seconds for every batch."""

    def __init__(self, seconds):
        self.input = io.StringIO()
        self.output = self
        self.turn = nullcontext
        self.seconds = seconds

    def readline(self):
        return f"{self.seconds}\n"

    @property
    def works(self):
        return [Work(**json.loads(line)) for line in self.input.getvalue().splitlines()]


def test_adapters_alternate_and_seeds_have_different_prompts():
    load = Load("decode", 4, 2, 8, 64)
    first, second = batches(load, "three", ADAPTERS, 0)
    assert first.adapters + second.adapters == [*ADAPTERS, *ADAPTERS, "/a", "/b"]
    assert batches(load, "one", ADAPTERS, 0)[1].adapters == ["/a"] * 4
    assert batches(load, "base", ADAPTERS, 0)[0].adapters == [None] * 4
    assert (len(first.prompts), len(first.prompts[0]), first.max_tokens) == (4, 8, 64)
    assert Work(**json.loads(first.line())) == first
    again = batches(load, "base", ADAPTERS, 0)[0]
    assert again.prompts == first.prompts
    assert batches(load, "base", ADAPTERS, 1)[0].prompts != first.prompts


def test_engines_take_turns_at_the_same_prompts_and_none_sees_one_twice():
    engines = {name: Engine(number) for number, name in enumerate(ENGINES, 1)}
    seconds = take_turns(engines, ADAPTERS, 2, lambda _: None)
    assert list(seconds) == [(name, mix) for name, mixes in ENGINES.items() for mix in mixes]
    single = LOADS[0]
    assert seconds["packed", "one"][single] == [2 * single.batches] * 2
    packed = [prompt for work in engines["packed"].works for prompt in map(tuple, work.prompts)]
    plain = [prompt for work in engines["no adapters"].works for prompt in map(tuple, work.prompts)]
    warm_up = len(MIXES) * sum(load.batch for load in LOADS)
    assert len(set(packed[warm_up:])) == len(packed) - warm_up
    assert set(plain) <= set(packed)
    assert {adapter for work in engines["stock"].works for adapter in work.adapters} == set(ADAPTERS)
    assert {adapter for work in engines["no adapters"].works for adapter in work.adapters} == {None}


def test_ratios_compare_throughput_with_both_bases():
    load = Load("decode", 32, 1, 16, 64)
    seconds = {
        ("no adapters", "base"): {load: [1.0, 2.0, 1.0]},
        ("packed", "base"): {load: [2.0, 2.0, 2.0]},
        ("packed", "three"): {load: [4.0, 2.0, 2.5]},
    }
    measured = report(seconds, {"packed": 2**20})
    json.dumps(measured)
    assert measured["throughput"][2]["tokens_per_second"]["median"] == pytest.approx(32 * 64 / 2.5)
    to_none, to_packed = measured["ratios"]
    assert (to_none["of"], to_none["to"], to_none["mix"]) == ("packed", "no adapters", "three")
    assert to_none["ratio"] == pytest.approx(1 / 2.5)
    assert (to_packed["to"], to_packed["ratio"]) == ("packed", pytest.approx(2 / 2.5))
    assert (to_packed["min"], to_packed["max"], to_packed["goal"]) == (0.5, 1.0, 0.8)


def test_prefill_counts_prompt_tokens_and_decoding_written_tokens():
    assert Load("prefill", 4, 2, 256, 1).tokens == 2048
    assert Load("decode", 4, 2, 16, 64).tokens == 512


def test_the_benchmark_needs_three_policies():
    with pytest.raises(FgctlError, match="mixes 3 policies, but the store serves 0"):
        measure(None, [], Settings())
