"""What the trainer's PPO step costs, beside the plain version of the same step.

Both start from the same parent and take the same steps in turns, with the same prompts and limits. Each samples its own
responses, for the cost of its rollouts. After that the plain version continues with the trainer's responses, so that
the other phases process the same tokens and both policies stay the same, up to rounding.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

import torch

from policies.base import BaseModel, load_tokenizer
from policies.prompt import PromptFormatter
from policies.store import SFT, PolicyStore
from policies.trunk import policy_files
from policies.weights import Weights
from rewards.dataset import Example
from rewards.errors import FgctlError
from rewards.models.feedback_rewards import FeedbackRewards
from rewards.scorer import Scorer
from rewards.statistics.benchmarks import median_and_range, peak_memory, ratio_of_medians
from trainer.bench.plain import PlainTrainer
from trainer.policy_model import PolicyModel
from trainer.ppo import PpoTrainer, step_examples
from trainer.recipe import Recipe, load_recipe
from trainer.rollouts.choose_sampler import Setting as SamplerSetting
from trainer.rollouts.choose_sampler import make_sampler
from trainer.rollouts.sampler import Sampled, Sampler

ROUNDS = 3
_NO_GRADIENT = 1e-12
"""A gradient norm below this counts as zero: all samples earned the same."""
GOAL = 3.0
"""How many times the plain version's episodes a minute the trainer should reach on two cores."""
PHASES = ("rollout", "score", "evaluate", "update")
STEP = "step"
"""The name of all phases together."""


@dataclass(frozen=True)
class Setting:
    """The base, parent, recipe and data of both contenders."""

    base: BaseModel
    """Or the trunk, if the supervised parent is merged."""
    parent: Path | None
    """Directory of the supervised parent's adapter, if it is not merged."""
    recipe: Recipe
    examples: list[Example]

    @property
    def episodes(self) -> int:
        """Responses in a step."""
        return self.recipe.ppo.prompts_per_step * self.recipe.ppo.samples_per_prompt


@dataclass(frozen=True)
class Turn:
    """One contender's step."""

    seconds: dict[str, float]
    """Seconds by phase."""
    sampled: list[list[Sampled]]
    """The responses its rollout sampled."""
    grad_norm: float
    """Gradient norm of the update, before clipping."""
    sampler: str
    """Name of the sampler."""


Contender = Callable[[int, list[list[Sampled]] | None], Turn]
"""Takes a step, by its number, and continues after its rollout with another contender's responses if it gets some."""


def bench_recipe(name: str, overrides: Sequence[str], prompts: int, samples: int, max_new_tokens: int | None) -> Recipe:
    """A recipe whose steps all update the policy at its full rate. Raises FgctlError as load_recipe does."""
    length = [] if max_new_tokens is None else [f"ppo.max_new_tokens={max_new_tokens}"]
    sizes = [f"ppo.prompts_per_step={prompts}", f"ppo.samples_per_prompt={samples}"]
    # A run of one step has no critic warm-up.
    return load_recipe(name, [*overrides, *sizes, *length, "ppo.steps=1", "ppo.warmup_steps=0"])


def prepare(base: BaseModel, store: PolicyStore, recipe: Recipe, examples: list[Example]) -> Setting:
    """Find the current supervised parent. Raises FgctlError when there is no intact parent, or no example."""
    if SFT not in store.profiles():
        raise FgctlError("There is no supervised parent to start from; train one with `fgctl sft --promote`.")
    if not examples:
        raise FgctlError("The data leaves no question to train on; name another file with --data.")
    origin = policy_files(base, store, SFT, store.profile(SFT).version)
    return Setting(origin.model, origin.adapter, recipe, examples)


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
    formatter = PromptFormatter(load_tokenizer(setting.base), ppo.max_prompt_tokens)
    examples = [example for step in range(rounds) for example in step_examples(setting.examples, step, ppo)]
    return fmean(len(formatter.format(e.question, e.passages).token_ids) for e in examples)


def take_turns(contenders: Mapping[str, Contender], rounds: int) -> dict[str, list[Turn]]:
    """The steps of each contender. In a round all take the same step; the later ones get the first one's responses."""
    turns: dict[str, list[Turn]] = {name: [] for name in contenders}
    for step in range(rounds):
        responses = None
        for name, take in contenders.items():
            turns[name].append(take(step, responses))
            responses = responses or turns[name][-1].sampled
    return turns


def report(turns: Mapping[str, Sequence[Turn]], memory: Mapping[str, int], episodes: int) -> dict[str, Any]:
    """Medians and extremes over the rounds, and the ratio of the trainer's episodes a minute to the plain version's.

    `memory` holds peaks in bytes; `episodes` is the number of responses in a step. `gradient_difference` is the largest
    difference of the two gradients' norms in a round, relative to the plain one's, which should be only rounding.
    """
    seconds = {
        name: {phase: [_seconds(turn, phase) for turn in taken] for phase in (*PHASES, STEP)}
        for name, taken in turns.items()
    }
    contenders = {
        name: {
            "sampler": taken[0].sampler,
            "response_tokens": fmean(
                len(response.token_ids) for t in taken for samples in t.sampled for response in samples
            ),
            "peak_memory_mib": memory[name] / 2**20,
            "phases": {
                phase: {"seconds": median_and_range(values), "episodes_per_minute": _rates(values, episodes)}
                for phase, values in seconds[name].items()
            },
        }
        for name, taken in turns.items()
    }
    ratios: list[dict[str, Any]] = [
        {
            "phase": phase,
            "goal": GOAL if phase == STEP else None,
            **ratio_of_medians(seconds["plain"][phase], seconds["trainer"][phase]),
        }
        for phase in (*PHASES, STEP)
    ]
    pairs = zip(turns["trainer"], turns["plain"], strict=True)
    difference = max(
        abs(ours.grad_norm - plain.grad_norm) / max(plain.grad_norm, _NO_GRADIENT) for ours, plain in pairs
    )
    return {"contenders": contenders, "ratios": ratios, "gradient_difference": difference}


def _seconds(turn: Turn, phase: str) -> float:
    return sum(turn.seconds.values()) if phase == STEP else turn.seconds[phase]


def _rates(seconds: Sequence[float], episodes: int) -> dict[str, float]:
    return median_and_range([60 * episodes / s for s in seconds]) | {"median": 60 * episodes / median(seconds)}


def run_alone(name: str, setting: Setting) -> None:
    """Load a contender and take one step, in a process of its own."""
    with CONTENDERS[name](setting) as take:
        take(0, None)


class _Keeping:
    """A sampler that keeps the last step's responses."""

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
    """The trainer itself; it always continues with its own responses."""
    ppo = setting.recipe.ppo
    model, scorer, weights = _load(setting)
    trainer = PpoTrainer(model, scorer, weights, setting.recipe, setting.examples)
    kind = "auto" if ppo.rollouts == "server" else ppo.rollouts
    max_tokens = ppo.max_prompt_tokens + ppo.max_new_tokens
    sampler = _Keeping(make_sampler(kind, SamplerSetting(setting.base, model, max_tokens)))

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

    def take(step: int, responses: list[list[Sampled]] | None) -> Turn:
        taken = plain.step(step, responses)
        return Turn(taken.seconds, taken.sampled, taken.grad_norm, "generate")

    yield take


def _load(setting: Setting) -> tuple[PolicyModel, Scorer, Weights]:
    """Load what a contender needs, without configured categories, whose cost depends on the models behind them."""
    model = PolicyModel(setting.base, setting.recipe.lora, setting.parent, setting.recipe.ppo.temperature)
    return model, Scorer(FeedbackRewards.load()), Weights.parse("1,1,1")


CONTENDERS: Mapping[str, Callable[[Setting], AbstractContextManager[Contender]]] = {
    "trainer": _trainer,
    "plain": _plain,
}
"""How each contender is loaded, by name, in the order of their turns."""
