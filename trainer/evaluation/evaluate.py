"""Offline evaluation: policies answer every question, and rewards, judge and references are applied to the answers."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import cache
from math import exp
from statistics import fmean
from typing import Any

from policies.base import BaseModel
from policies.prompt import PromptFormatter
from policies.store import SFT, Decoding
from rewards.dataset import Example, questions_digest
from rewards.models.judge import Judge
from rewards.scorer import Scorer
from rewards.scores import ScoreRequest
from trainer.evaluation.candidates import Candidate
from trainer.evaluation.intervals import by_question, comparison, intervals
from trainer.evaluation.online_baseline import online_baseline
from trainer.evaluation.perplexity import base_nll
from trainer.evaluation.report import report_on, rounded
from trainer.policy_model import PolicyModel
from trainer.recipe import LoraRecipe
from trainer.rollouts.choose_sampler import Setting, make_sampler
from trainer.rollouts.sampler import Sampler

GREEDY = Decoding(temperature=0, top_p=1)
"""The most likely token every time, so that nothing depends on chance."""
MAX_PROMPT_TOKENS = 1024
_SEED = 1


def evaluate_policies(
    candidates: Sequence[Candidate],
    examples: Sequence[Example],
    base: BaseModel,
    scorer: Scorer,
    decoding: Decoding | None,
    max_prompt_tokens: int,
    judge: Judge | None = None,
    samples: int = 1,
) -> Generator[dict[str, Any], None, None]:
    """A report for each candidate, in order, all with the same seeds: the shape of `fgctl evaluate --json`.

    `decoding` applies to all candidates; None samples each as it is served. `samples` is the number of responses to
    each question, which greedy decoding reduces to one.

    Besides what `report_on` derives from the texts, a report has `truncated`, the share of responses that did not end;
    `perplexity` of the responses under `base` without an adapter (trainer.evaluation.perplexity); `intervals`, the
    95 % interval of each figure by its dotted name; `against`, a comparison with the first supervised parent before it
    or None; `pairs`, comparisons with every other policy before it (trainer.evaluation.intervals.comparison); and
    `served`, what to expect of it in service (trainer.evaluation.online_baseline), None unless `decoding` is None.
    `questions` is a digest of the questions in order, in which `per_question` has its values.

    Raises FgctlError for weights of a category that is not in use.
    """
    for candidate in candidates:
        candidate.weights.check(scorer.categories)
    reports: list[dict[str, Any]] = []
    sampler: Sampler | None = None
    # Policies on a trunk share a base for perplexity; the others bring it along.
    plain = cache(lambda: PolicyModel(base, LoraRecipe(top_layers=1)))
    longest = max(((decoding or candidate.decoding).max_tokens for candidate in candidates), default=0)
    try:
        for candidate in candidates:
            files = candidate.files
            model = PolicyModel(files.model, LoraRecipe(top_layers=1), files.adapter)
            if sampler is None:
                sampler = make_sampler("auto", Setting(files.model, model, max_prompt_tokens + longest))
            sampler.synchronise(model)
            by = decoding or candidate.decoding
            n = samples if by.temperature else 1
            answers = _answer(examples, model, sampler, by, max_prompt_tokens, n)
            scored = scorer.score(answers.requests)
            report = report_on(candidate, answers.requests, scored, answers.references, scorer, judge)
            report |= {"decoding": by.model_dump(), "samples": n}
            report |= _with_tokens(report, model if files.model == base else plain(), answers)
            truncated = report["per_question"]["truncated"]
            report |= {
                "n": len(examples),
                "questions": questions_digest(example.question for example in examples),
                "per_question": by_question(report["per_question"], n),
                "served": online_baseline(by, scorer.version, answers.requests, scored, truncated)
                if decoding is None
                else None,
            }
            report |= {"intervals": intervals(report)} | _compared(report, reports)
            reports.append(report)
            yield report
    finally:
        if sampler is not None:
            sampler.close()


@dataclass(frozen=True)
class _Answers:
    """Values by response; the responses to a question follow one another."""

    requests: list[ScoreRequest]
    references: list[str]
    prompts: list[tuple[int, ...]]
    """Token ids of the prompts."""
    tokens: list[list[int]]
    """Token ids of the responses, with the end-of-text token where a response ended."""


def _answer(
    examples: Sequence[Example],
    model: PolicyModel,
    sampler: Sampler,
    by: Decoding,
    max_prompt_tokens: int,
    samples: int,
) -> _Answers:
    formatter = PromptFormatter(model.tokenizer, max_prompt_tokens)
    prompts = [formatter.format(e.question, e.passages) for e in examples]
    sampled = sampler.sample(
        [prompt.token_ids for prompt in prompts],
        samples,
        by.max_tokens,
        _SEED,
        top_p=by.top_p,
        temperature=by.temperature,
    )
    flat = [
        (example, prompt, response.token_ids)
        for example, prompt, responses in zip(examples, prompts, sampled, strict=True)
        for response in responses
    ]
    return _Answers(
        [ScoreRequest(e.question, prompt.passages, model.decode(tokens)) for e, prompt, tokens in flat],
        [e.answer for e, _, _ in flat],
        [prompt.token_ids for _, prompt, _ in flat],
        [tokens for _, _, tokens in flat],
    )


def _with_tokens(report: dict[str, Any], model: PolicyModel, answers: _Answers) -> dict[str, Any]:
    """The part of a report that depends on the responses' tokens."""
    texts = [[token for token in response if token != model.eos] for response in answers.tokens]
    nll = base_nll(model, answers.prompts, texts)
    lengths = [len(response) for response in texts]
    total = sum(mean * length for mean, length in zip(nll, lengths, strict=True))
    truncated = [int(model.eos not in response) for response in answers.tokens]
    return {
        "length": report["length"] | {"tokens": fmean(map(len, answers.tokens))},
        "truncated": fmean(truncated),
        "perplexity": exp(total / max(1, sum(lengths))),
        "per_question": report["per_question"] | {"truncated": truncated, "nll": rounded(nll), "nll_tokens": lengths},
    }


def _compared(report: dict[str, Any], before: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Comparisons of a report with the ones before it."""
    if report["profile"] == SFT:
        return {"against": None, "pairs": []}
    parent = next((comparison(report, other) for other in before if other["profile"] == SFT), None)
    return {"against": parent, "pairs": [comparison(report, other) for other in before if other["profile"] != SFT]}
