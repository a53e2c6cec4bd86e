"""What a PPO step costs as the trainer takes it, beside the plain version of the same step.

Both start from the same parent and take the same steps in turns: the same prompts, as many samples of as many tokens.
Each samples responses of its own, which is what its rollouts cost; the plain version then scores, evaluates and learns
from the trainer's, so that the other phases have the same tokens to deal with, and both policies stay the same, up to
rounding.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

import torch
from transformers import AutoTokenizer

from policies.base import BaseModel
from policies.manifest import Named
from policies.prompt import PromptFormatter
from policies.store import SFT, PolicyStore
from policies.weights import Weights
from rewards.dataset import Example
from rewards.errors import FgctlError
from rewards.models.feedback_rewards import FeedbackRewards
from rewards.scorer import Scorer
from rewards.statistics.benchmarks import peak_memory, quotient, spread
from trainer.bench.plain import PlainTrainer
from trainer.policy_model import PolicyModel
from trainer.ppo import PpoTrainer, step_examples
from trainer.recipe import Recipe, load_recipe
from trainer.rollouts.choose_sampler import make_sampler
from trainer.rollouts.sampler import Sampled, Sampler

ROUNDS = 3
_NO_GRADIENT = 1e-12
"""A norm under which there is none: the samples earned alike."""
GOAL = 3.0
"""How many times the plain version's episodes a minute the trainer should reach on two cores."""
PHASES = ("rollout", "score", "evaluate", "update")
STEP = "step"
"""Stands for all phases together."""


@dataclass(frozen=True)
class Setting:
    """What both contenders train, on what, from what."""

    base: BaseModel
    parent: Path
    """Directory of the supervised parent's adapter."""
    recipe: Recipe
    examples: list[Example]

    @property
    def episodes(self) -> int:
        """Responses a step."""
        return self.recipe.ppo.prompts_per_step * self.recipe.ppo.samples_per_prompt


@dataclass(frozen=True)
class Turn:
    """One contender's step."""

    seconds: dict[str, float]
    """By phase."""
    sampled: list[list[Sampled]]
    """The responses its rollout sampled."""
    grad_norm: float
    """Of its update, before clipping."""
    sampler: str
    """What sampled them."""


Contender = Callable[[int, list[list[Sampled]] | None], Turn]
"""Takes a step by its number; may be given the responses that another one sampled, to go on with after its rollout."""


def bench_recipe(name: str, overrides: Sequence[str], prompts: int, samples: int, max_new_tokens: int | None) -> Recipe:
    """A recipe whose steps all update the policy at its full rate. Raises FgctlError as load_recipe does."""
    length = [] if max_new_tokens is None else [f"ppo.max_new_tokens={max_new_tokens}"]
    sizes = [f"ppo.prompts_per_step={prompts}", f"ppo.samples_per_prompt={samples}"]
    # A run of one step has no critic warm-up.
    return load_recipe(name, [*overrides, *sizes, *length, "ppo.steps=1", "ppo.warmup_steps=0"])


def prepare(base: BaseModel, store: PolicyStore, recipe: Recipe, examples: list[Example]) -> Setting:
    """Find the current supervised parent. Raises FgctlError when there is none or no example, or it is damaged."""
    if SFT not in store.profiles():
        raise FgctlError("There is no supervised parent to start from; train one by `fgctl sft --promote`.")
    if not examples:
        raise FgctlError("The data leaves no question to train on; name a file that does by --data.")
    parent = store.verify(SFT, store.profile(SFT).version, Named(name=base.name, digest=base.digest))
    return Setting(base, parent, recipe, examples)


def measure(setting: Setting, rounds: int = ROUNDS) -> dict[str, Any]:
    """Measure both contenders: the shape of `fgctl bench train --json`, seconds by phase and memory in MiB."""
    memory = {name: peak_memory(run_alone, name, setting) for name in CONTENDERS}
    with ExitStack() as stack:
        contenders = {name: stack.enter_context(load(setting)) for name, load in CONTENDERS.items()}
        turns = take_turns(contenders, rounds)
    ppo = setting.recipe.ppo
    return {
        "base": setting.base.name,
        "prompts": ppo.prompts_per_step,
        "samples": ppo.samples_per_prompt,
        "max_new_tokens": ppo.max_new_tokens,
        "prompt_tokens": prompt_tokens(setting, rounds),
        "threads": torch.get_num_threads(),
        "rounds": rounds,
    } | report(turns, memory, setting.episodes)


def prompt_tokens(setting: Setting, rounds: int) -> float:
    """Mean length of the rounds' prompts."""
    ppo = setting.recipe.ppo
    formatter = PromptFormatter(AutoTokenizer.from_pretrained(setting.base.path), ppo.max_prompt_tokens)
    examples = [example for step in range(rounds) for example in step_examples(setting.examples, step, ppo)]
    return fmean(len(formatter.format(e.question, e.passages).token_ids) for e in examples)


def take_turns(contenders: Mapping[str, Contender], rounds: int) -> dict[str, list[Turn]]:
    """The steps of each contender. In a round all take the same step, the later ones with the first one's responses."""
    turns: dict[str, list[Turn]] = {name: [] for name in contenders}
    for step in range(rounds):
        given = None
        for name, take in contenders.items():
            turns[name].append(take(step, given))
            given = given or turns[name][-1].sampled
    return turns


def report(turns: Mapping[str, Sequence[Turn]], memory: Mapping[str, int], episodes: int) -> dict[str, Any]:
    """Medians and extremes over the rounds, and how many times the plain version's episodes a minute the trainer makes.

    `memory` holds peaks in bytes, `episodes` is how many responses a step has. `gradient_difference` is the largest
    difference of the two gradients' norms in a round, relative to the plain one's: both do the same, up to rounding.
    """
    seconds = {
        name: {phase: [_seconds(turn, phase) for turn in taken] for phase in (*PHASES, STEP)}
        for name, taken in turns.items()
    }
    contenders = {
        name: {
            "sampler": taken[0].sampler,
            "response_tokens": fmean(len(one.token_ids) for t in taken for samples in t.sampled for one in samples),
            "peak_memory_mib": memory[name] / 2**20,
            "phases": {
                phase: {"seconds": spread(values), "episodes_per_minute": _rates(values, episodes)}
                for phase, values in seconds[name].items()
            },
        }
        for name, taken in turns.items()
    }
    ratios: list[dict[str, Any]] = [
        {
            "phase": phase,
            "goal": GOAL if phase == STEP else None,
            **quotient(seconds["plain"][phase], seconds["trainer"][phase]),
        }
        for phase in (*PHASES, STEP)
    ]
    pairs = zip(turns["trainer"], turns["plain"], strict=True)
    apart = max(abs(ours.grad_norm - plain.grad_norm) / max(plain.grad_norm, _NO_GRADIENT) for ours, plain in pairs)
    return {"contenders": contenders, "ratios": ratios, "gradient_difference": apart}


def _seconds(turn: Turn, phase: str) -> float:
    return sum(turn.seconds.values()) if phase == STEP else turn.seconds[phase]


def _rates(seconds: Sequence[float], episodes: int) -> dict[str, float]:
    return spread([60 * episodes / s for s in seconds]) | {"median": 60 * episodes / median(seconds)}


def run_alone(name: str, setting: Setting) -> None:
    """Load a contender and take one step, in a process of its own."""
    with CONTENDERS[name](setting) as take:
        take(0, None)


class _Keeping:
    """A sampler that keeps the responses of the step it last sampled for."""

    def __init__(self, sampler: Sampler) -> None:
        self.sampler = sampler
        self.kept: dict[int, list[Sampled]] = {}

    def synchronise(self, model: PolicyModel, step: int = 0) -> None:
        self.kept = {}
        self.sampler.synchronise(model, step)

    def logprobs(self, tokens: Sequence[int]) -> list[float]:
        return self.sampler.logprobs(tokens)

    def sample(
        self,
        prompts: Sequence[Sequence[int]],
        n: int,
        max_new_tokens: int,
        seed: int,
        *,
        top_p: float = 1.0,
        temperature: float | None = None,
        places: Sequence[int] | None = None,
    ) -> list[list[Sampled]]:
        sampled = self.sampler.sample(
            prompts, n, max_new_tokens, seed, top_p=top_p, temperature=temperature, places=places
        )
        self.kept |= dict(zip(places or range(len(prompts)), sampled, strict=True))
        return sampled

    def close(self) -> None:
        self.sampler.close()


@contextmanager
def _trainer(setting: Setting) -> Iterator[Contender]:
    """The trainer itself; it always goes on with its own responses."""
    ppo = setting.recipe.ppo
    model, scorer, weights = _load(setting)
    trainer = PpoTrainer(model, scorer, weights, setting.recipe, setting.examples)
    kind = "auto" if ppo.rollouts == "server" else ppo.rollouts
    sampler = _Keeping(make_sampler(kind, setting.base, model, ppo.max_prompt_tokens + ppo.max_new_tokens))

    def take(step: int, _: list[list[Sampled]] | None) -> Turn:
        metrics = trainer.step(step, sampler)
        seconds = {phase: metrics[f"seconds/{phase}"] for phase in PHASES}
        return Turn(seconds, list(sampler.kept.values()), metrics["policy/grad_norm"], type(sampler.sampler).__name__)

    try:
        yield take
    finally:
        sampler.close()


@contextmanager
def _plain(setting: Setting) -> Iterator[Contender]:
    model, scorer, weights = _load(setting)
    plain = PlainTrainer(model, scorer, weights, setting.recipe, setting.examples)

    def take(step: int, given: list[list[Sampled]] | None) -> Turn:
        taken = plain.step(step, given)
        return Turn(taken.seconds, taken.sampled, taken.grad_norm, "generate")

    yield take


def _load(setting: Setting) -> tuple[PolicyModel, Scorer, Weights]:
    """Without configured categories: they cost what the models behind them cost."""
    model = PolicyModel(setting.base, setting.recipe.lora, setting.parent, setting.recipe.ppo.temperature)
    return model, Scorer(FeedbackRewards.load()), Weights.parse("1,1,1")


CONTENDERS: Mapping[str, Callable[[Setting], AbstractContextManager[Contender]]] = {
    "trainer": _trainer,
    "plain": _plain,
}
"""How each contender is loaded, by name, in the order of their turns."""
