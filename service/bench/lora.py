"""What adapters cost on a CPU: the base alone, one adapter and three mixed, by the packed kernels and by vLLM's own.

Four engines take turns in one run, and each is paused while another works:

- `no adapters` cannot load any, and is compiled, as vLLM does by default,
- `packed` has the kernels of `service/engine/cpu_lora.py` and runs as the service starts it,
- `packed, compiled` is the same with FGCTL_COMPILE=1,
- `stock` has vLLM's own kernels.

In a round all answer the same prompts of random tokens. No two rounds share a prompt, so that nothing comes from a
prefix cache.
"""

import json
import os
import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

from policies.base import BaseModel
from rewards.errors import FgctlError
from rewards.statistics.benchmarks import median_and_range, ratio_of_medians
from service.bench import engine_process
from service.bench.engine_process import Work
from service.bench.load import Progress
from service.bench.paused_programs import Program
from service.domain.policy import ServedPolicy
from service.engine.cpu_environment import engine_settings, with_preloads
from service.engine.plan import engine_arguments, local_workers, shapes_for, user_arguments
from service.settings import Settings

ROUNDS = 3
GOAL = 0.8
"""Goal for the throughput with adapters, as a share of the base's."""
_FIRST_TOKEN, _LAST_TOKEN = 100, 30_000
"""Range of the random tokens: ordinary tokens that every vocabulary has."""


@dataclass(frozen=True)
class Load:
    """Prompts of one length in batches of one size."""

    name: str
    batch: int
    batches: int
    prompt_tokens: int
    max_tokens: int

    @property
    def tokens(self) -> int:
        """Tokens that its throughput counts: the prompts' tokens for prefill, the written ones for decoding."""
        return self.batch * self.batches * (self.prompt_tokens if self.max_tokens == 1 else self.max_tokens)


LOADS = (
    Load("prefill", 1, 4, 256, 1),
    Load("prefill", 32, 1, 256, 1),
    Load("decode", 1, 2, 16, 64),
    Load("decode", 32, 1, 16, 64),
)
MIXES = {"base": 0, "one": 1, "three": 3}
"""Number of adapters that a batch mixes."""
ENGINES = {
    "no adapters": ("base",),
    "packed": ("base", "one", "three"),
    "packed, compiled": ("one", "three"),
    "stock": ("one", "three"),
}
"""The mixes that each engine answers, in the order of their turns."""

Seconds = Mapping[tuple[str, str], Mapping[Load, Sequence[float]]]
"""By engine and mix, then by load: the seconds of each round."""


def measure(
    base: BaseModel,
    policies: Sequence[ServedPolicy],
    settings: Settings,
    rounds: int = ROUNDS,
    progress: Progress = lambda _: None,
) -> dict[str, Any]:
    """Measure all engines: the object of `fgctl bench lora --json`. Raises FgctlError if an engine does not start."""
    needed = max(MIXES.values())
    if len(policies) < needed:
        raise FgctlError(
            f"This benchmark mixes {needed} policies, but the store serves {len(policies)}; promote more of them."
        )
    with ExitStack() as stack:
        engines = {}
        for name in ENGINES:
            progress(f"Starting the engine `{name}`")
            engines[name] = stack.enter_context(start(name, base, policies, settings))
        adapters = [str(policy.path.resolve()) for policy in policies]
        seconds = take_turns(engines, adapters, rounds, progress)
        memory = {name: engine.peak_memory() for name, engine in engines.items()}
    setup = {"base": base.name, "adapters": [policy.adapter_name for policy in policies[:3]], "rounds": rounds}
    return setup | report(seconds, memory)


def start(name: str, base: BaseModel, policies: Sequence[ServedPolicy], settings: Settings) -> Program:
    """Start an engine, wait until it is ready, and pause it."""
    arguments = engine_arguments(base, shapes_for([p.path for p in policies], settings.resident_adapters + 1), settings)
    environment = with_preloads(engine_settings(local_workers(user_arguments(settings))) | os.environ)
    if name == "no adapters":
        arguments = {key: value for key, value in arguments.items() if "lora" not in key}
    arguments["enforce_eager"] = name in ("packed", "stock")
    if name == "stock":
        environment["VLLM_PLUGINS"] = ""
    command = [sys.executable, "-m", engine_process.__name__, json.dumps(arguments)]
    engine = Program(f"The engine `{name}`", command, environment, piped=True)
    try:
        _read_line(engine)
    except BaseException:
        engine.end()
        raise
    engine.pause()
    return engine


@contextmanager
def engine_as_served(
    base: BaseModel, policies: Sequence[ServedPolicy], settings: Settings
) -> Iterator[Callable[[Work], float]]:
    """The seconds that an engine takes for a batch, set up as the service sets it up; it is paused in between."""
    with start("packed", base, policies, settings) as engine:
        yield lambda work: _work(engine, [work])


def take_turns(engines: Mapping[str, Program], adapters: Sequence[str], rounds: int, progress: Progress) -> Seconds:
    """The seconds of every engine's mixes and loads. In a round, the engines take turns at each load."""
    turns = [(name, mix) for name, mixes in ENGINES.items() for mix in mixes]
    seconds: dict[tuple[str, str], dict[Load, list[float]]] = {turn: {load: [] for load in LOADS} for turn in turns}
    for name, mix in turns:
        progress(f"Warming up: {name}, {mix}")
        for load in LOADS:
            _work(engines[name], batches(load, mix, adapters, seed=-1)[:1])
    for i in range(rounds):
        for number, load in enumerate(LOADS):
            progress(f"Round {i + 1} of {rounds}: {load.name} in batches of {load.batch}")
            for name, mix in turns:
                # Each mix has its own prompts, because all mixes of an engine share its prefix cache.
                seed = (i * len(LOADS) + number) * len(MIXES) + list(MIXES).index(mix)
                seconds[name, mix][load].append(_work(engines[name], batches(load, mix, adapters, seed)))
    return seconds


def batches(load: Load, mix: str, adapters: Sequence[str], seed: int) -> list[Work]:
    """The batches of a load: random prompts with alternating adapters."""
    tokens = random.Random(seed)  # noqa: S311
    count = MIXES[mix]
    works = []
    for number in range(load.batches):
        prompts = [
            [tokens.randrange(_FIRST_TOKEN, _LAST_TOKEN) for _ in range(load.prompt_tokens)] for _ in range(load.batch)
        ]
        positions = range(number * load.batch, (number + 1) * load.batch)
        chosen = [adapters[position % count] if count else None for position in positions]
        works.append(Work(prompts, chosen, load.max_tokens))
    return works


def report(seconds: Seconds, memory: Mapping[str, int]) -> dict[str, Any]:
    """Tokens per second, and the share of a base's throughput that adapters keep: medians and extremes over rounds.

    `memory` holds the peak memory of each engine's processes together, in bytes.
    """
    throughput = [
        {
            "engine": name,
            "mix": mix,
            "load": load.name,
            "batch": load.batch,
            "tokens_per_second": _rates(load_seconds, load.tokens),
        }
        for (name, mix), loads in seconds.items()
        for load, load_seconds in loads.items()
    ]
    ratios = [
        {
            "load": load.name,
            "batch": load.batch,
            "mix": mix,
            "of": name,
            "to": to,
            "goal": None if name == "stock" else GOAL,
            **ratio_of_medians(seconds[to, "base"][load], seconds[name, mix][load]),
        }
        for load in next(iter(seconds.values()))
        for name, mix in seconds
        for to in ("no adapters", "packed")
        if mix != "base"
    ]
    return {
        "throughput": throughput,
        "ratios": ratios,
        "peak_memory_mib": {name: peak / 2**20 for name, peak in memory.items()},
    }


def _rates(seconds: Sequence[float], tokens: int) -> dict[str, float]:
    return median_and_range([tokens / s for s in seconds]) | {"median": tokens / median(seconds)}


def _work(engine: Program, works: Sequence[Work]) -> float:
    """Seconds that an engine takes for batches, one after another."""
    with engine.turn():
        seconds = 0.0
        for work in works:
            engine.input.write(work.line())
            seconds += float(_read_line(engine))
        return seconds


def _read_line(engine: Program) -> str:
    """The engine's next line of output. Raises FgctlError if it has ended."""
    line = engine.output.readline()
    if not line:
        engine.process.wait()
        engine.check()
    return line
