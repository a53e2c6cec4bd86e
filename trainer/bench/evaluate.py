"""What an evaluation of a policy costs: its answers beside the time that the service's engine needs for them."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import torch

from rewards.dataset import Example
from rewards.errors import FgctlError
from rewards.models.judge import Judge
from rewards.scorer import Scorer
from rewards.statistics.benchmarks import median_and_range, ratio_of_medians
from trainer.evaluation.answers import GREEDY, MAX_PROMPT_TOKENS, Answers, answer
from trainer.evaluation.candidates import Candidate
from trainer.evaluation.perplexity import base_nll
from trainer.policy_model import PolicyModel
from trainer.recipe import LoraRecipe
from trainer.rollouts.choose_sampler import Setting as SamplerSetting
from trainer.rollouts.choose_sampler import make_sampler

ROUNDS = 3
GOAL = 1.5
"""How many times the engine's time the answers may take."""

Engine = Callable[[Sequence[Sequence[int]], int], float]
"""The seconds that an engine takes for prompts in one batch, with at most so many tokens for each answer."""


@dataclass(frozen=True)
class Setting:
    """The policy that is evaluated, and the questions of every round."""

    candidate: Candidate
    rounds: list[list[Example]]
    """No question is in two rounds, so that nothing comes from a prefix cache."""


def rounds_of(examples: Sequence[Example], questions: int, rounds: int) -> list[list[Example]]:
    """The questions of each round. Raises FgctlError when there are too few."""
    if len(examples) < questions * rounds:
        raise FgctlError(
            f"{rounds} rounds of {questions} questions need {questions * rounds}, but the data has {len(examples)}; "
            "lower --questions or --rounds, or name another file with --data."
        )
    return [list(examples[i * questions : (i + 1) * questions]) for i in range(rounds)]


def measure(setting: Setting, scorer: Scorer, judge: Judge | None, engine: Engine) -> dict[str, Any]:
    """Measure in turns with the engine: the shape of `fgctl bench evaluate --json`, times in seconds.

    Both first answer one question to warm up. `phases` are the other parts of an evaluation, on the last round's
    answers.
    """
    began = time.perf_counter()
    files = setting.candidate.files
    model = PolicyModel(files.model, LoraRecipe(top_layers=1), files.adapter)
    loading = time.perf_counter() - began
    sampler = make_sampler("auto", SamplerSetting(files.model, model, MAX_PROMPT_TOKENS + GREEDY.max_tokens))
    try:
        loading += _seconds(lambda: sampler.synchronise(model))
        warm = answer(setting.rounds[0][:1], model, sampler)
        engine(warm.prompts, GREEDY.max_tokens)
        sampler.synchronise(model)  # forgets the question
        mine, theirs, answered = [], [], []
        for examples in setting.rounds:
            began = time.perf_counter()
            answered.append(answer(examples, model, sampler))
            mine.append(time.perf_counter() - began)
            theirs.append(engine(answered[-1].prompts, GREEDY.max_tokens))
    finally:
        sampler.close()
    answers = answered[-1]
    return {
        "base": files.model.name,
        "profile": setting.candidate.name,
        "version": setting.candidate.version,
        "questions": len(answers.requests),
        "rounds": len(setting.rounds),
        "threads": torch.get_num_threads(),
        "prompt_tokens": fmean(len(prompt) for part in answered for prompt in part.prompts),
        "answer_tokens": fmean(len(tokens) for part in answered for tokens in part.tokens),
        "seconds": {"evaluation": median_and_range(mine), "engine": median_and_range(theirs)},
        "ratio": ratio_of_medians(mine, theirs) | {"goal": GOAL},
        "phases": {"loading": loading, "answers": mine[-1]} | _judging(model, answers, scorer, judge),
    }


def _judging(model: PolicyModel, answers: Answers, scorer: Scorer, judge: Judge | None) -> dict[str, float]:
    """The seconds for scores, judge and perplexity."""
    texts = [[token for token in response if token != model.eos] for response in answers.tokens]
    return {
        "scores": _seconds(lambda: scorer.score(answers.requests)),
        **({"judge": _seconds(lambda: judge.judge(answers.requests))} if judge else {}),
        "perplexity": _seconds(lambda: base_nll(model, answers.prompts, texts)),
    }


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
