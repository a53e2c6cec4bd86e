"""What scoring costs, beside one forward pass of the base model and beside three encoders, over the same text.

The text is a question, as much of its passages as a prompt shows, and a response, as in service and training.
Everything runs on the CPU with torch's own number of threads.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean, median
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from policies.prompt import PromptFormatter
from rewards.categories import BUILT_IN
from rewards.compute import compute_dtype
from rewards.dataset import FeedbackExample
from rewards.errors import FgctlError
from rewards.features.extractor import Extractor
from rewards.models.feedback_rewards import FeedbackRewards
from rewards.scorer import Scorer
from rewards.scores import ScoreRequest
from rewards.statistics.benchmarks import median_and_range, peak_memory, ratio_of_medians

BATCH = 8
"""Responses a contender scores in a turn; batched contenders score them in one call."""
ROUNDS = 3
GOALS = (
    ("scorer_batched", "base_model", 0.2),
    ("scorer_single", "base_model", 0.2),
    ("scorer_batched", "three_encoders", 0.33),
)
"""Contender, alternative, and the goal: the largest ratio of the first's time to the second's."""


@dataclass(frozen=True)
class Response:
    """A response to score, and the same text in the base model's tokens."""

    request: ScoreRequest
    prompt_ids: tuple[int, ...]
    response_ids: tuple[int, ...]

    @property
    def tokens(self) -> int:
        """Length of prompt and response, in the base model's tokens."""
        return len(self.prompt_ids) + len(self.response_ids)


@dataclass(frozen=True)
class Models:
    """The contenders' models."""

    rewards: Path | None
    """Fitted rewards; None for the shipped ones."""
    base: Path
    """Directory of the base model."""


Pass = Callable[[Sequence[Response]], None]
"""Does a contender's work on at most BATCH responses."""


def prepare(examples: Sequence[FeedbackExample], count: int, tokenizer: PreTrainedTokenizerBase) -> list[Response]:
    """The first prediction of up to `count` examples. Raises FgctlError when there is none."""
    formatter = PromptFormatter(tokenizer)
    responses = []
    for example in [e for e in examples if e.predictions[0].strip()][:count]:
        prompt = formatter.format(example.question, example.passages)
        text = example.predictions[0]
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        request = ScoreRequest(example.question, prompt.passages, text)
        responses.append(Response(request, prompt.token_ids, tuple(ids)))
    if not responses:
        raise FgctlError("The feedback holds no responses to score; name another file with --data.")
    return responses


def measure(models: Models, responses: Sequence[Response], rounds: int = ROUNDS) -> dict[str, Any]:
    """Measure every contender: the shape of `fgctl bench rewards --json`.

    Raises FgctlError when the fitted rewards or the encoder are missing or damaged.
    """
    version = FeedbackRewards.load(models.rewards).version
    longest = sorted(responses, key=lambda r: r.tokens)[-BATCH:]
    memory = {name: peak_memory(run_alone, name, models, longest) for name in CONTENDERS}
    passes = {name: load(models) for name, load in CONTENDERS.items()}
    for run in passes.values():
        run(longest)
    return {
        "rewards": version,
        "responses": len(responses),
        "base_tokens": fmean(r.tokens for r in responses),
        "threads": torch.get_num_threads(),
        "rounds": rounds,
    } | report(time_rounds(passes, responses, rounds), memory)


def time_rounds(
    passes: Mapping[str, Pass],
    responses: Sequence[Response],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Each contender's seconds per response, one number a round.

    In a round the contenders take turns at every batch, so that other load on the machine affects all of them.
    """
    seconds = {name: [0.0] * rounds for name in passes}
    for i in range(rounds):
        for batch in _batches(responses, BATCH):
            for name, run in passes.items():
                started = clock()
                run(batch)
                seconds[name][i] += (clock() - started) / len(responses)
    return seconds


def report(seconds: Mapping[str, Sequence[float]], memory: Mapping[str, int]) -> dict[str, Any]:
    """Medians and extremes over the rounds, and the ratios of GOALS.

    `seconds` holds seconds a response by contender and round, `memory` the peak in bytes by contender. A ratio is the
    quotient of two medians; its extremes are those of the quotients within a round.
    """
    contenders = {
        name: {
            "seconds_per_response": median_and_range(values),
            "responses_per_second": median_and_range([1 / value for value in values]) | {"median": 1 / median(values)},
            "peak_memory_mib": memory[name] / 2**20,
        }
        for name, values in seconds.items()
    }
    ratios = [
        {"of": name, "to": alternative} | ratio_of_medians(seconds[name], seconds[alternative]) | {"goal": goal}
        for name, alternative, goal in GOALS
    ]
    return {"contenders": contenders, "ratios": ratios}


def run_alone(name: str, models: Models, responses: Sequence[Response]) -> None:
    """Load a contender and run it once, in a process of its own."""
    CONTENDERS[name](models)(responses)


def score_in_calls(scorer: Scorer, size: int, responses: Sequence[Response]) -> None:
    """Score the responses by all built-in categories, `size` responses a call."""
    for batch in _batches(responses, size):
        scorer.score([r.request for r in batch])


def extract_apart(extractors: Sequence[Extractor], responses: Sequence[Response]) -> None:
    """The cost of a separate model for each category.

    Each extractor stands for one category's model. It encodes question, passage sentences and segments, reads the
    response and derives the features, as the scorer does once for all; the heads, a few dot products, are left out. A
    model of a single category could skip the other density's segments, which are few compared with the passages.
    """
    for extractor in extractors:
        extractor.extract([r.request for r in responses])


@torch.inference_mode()
def forward(model: PreTrainedModel, responses: Sequence[Response]) -> list[torch.Tensor]:
    """Logits [1, response tokens, vocabulary] that predict each response, one forward pass a response."""
    logits = []
    for r in responses:
        ids = torch.tensor([r.prompt_ids + r.response_ids])
        predicting = torch.arange(len(r.prompt_ids) - 1, r.tokens - 1)
        logits.append(model(input_ids=ids, logits_to_keep=predicting, use_cache=False).logits)
    return logits


def _batches(responses: Sequence[Response], size: int) -> Iterator[Sequence[Response]]:
    for first in range(0, len(responses), size):
        yield responses[first : first + size]


def _scorer(models: Models, size: int) -> Pass:
    """A scorer without configured categories, whose cost depends on the models behind them."""
    return partial(score_in_calls, Scorer(FeedbackRewards.load(models.rewards)), size)


def _base_model(models: Models) -> Pass:
    model = AutoModelForCausalLM.from_pretrained(models.base, dtype=compute_dtype()).eval()

    def run(responses: Sequence[Response]) -> None:
        forward(model, responses)

    return run


def _three_encoders(_: Models) -> Pass:
    return partial(extract_apart, [Extractor() for _ in BUILT_IN])


CONTENDERS: Mapping[str, Callable[[Models], Pass]] = {
    "scorer_batched": partial(_scorer, size=BATCH),
    "scorer_single": partial(_scorer, size=1),
    "base_model": _base_model,
    "three_encoders": _three_encoders,
}
"""How each contender is loaded, by name, in the order of their turns."""
