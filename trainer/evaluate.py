"""Offline evaluation of policies: sample an answer to every question, judge it, compare it with the reference."""

from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from policies.base import BaseModel
from policies.prompt import PromptFormatter
from policies.store import SFT, Decoding, Named, PolicyStore
from policies.weights import Weights
from rewards.calibration import OperatingPoint, corrected_rate
from rewards.categories import JUDGED
from rewards.dataset import Example, word_count
from rewards.judge import Judge
from rewards.scorer import Scorer
from rewards.scores import ScoredResponse, ScoreRequest
from rewards.segmentation import segments
from trainer.recipe import LoraRecipe
from trainer.rollouts import Sampler, make_sampler
from trainer.trunk import Trunk

BASE = "base"
"""Stands for the base model without any adapter."""
_SEED = 1
_NGRAM = 4


@dataclass(frozen=True)
class Candidate:
    """What to evaluate: the current version of a profile, the supervised parent, or the base."""

    name: str
    version: str
    weights: Weights
    """By which `weighted_reward` is summed; the parent and the base, which have none, are given some."""


def candidate(store: PolicyStore, name: str, fallback: Weights, base: BaseModel) -> Candidate:
    """The candidate of that name. Raises FgctlError when there is none, or it belongs to another base."""
    if name == BASE:
        return Candidate(BASE, base.digest[:12], fallback)
    profile = store.profile(name)
    store.verify(name, profile.version, Named(name=base.name, digest=base.digest))
    return Candidate(name, profile.version, profile.weights or fallback)


def evaluate_policies(
    candidates: Sequence[Candidate],
    examples: Sequence[Example],
    store: PolicyStore,
    base: BaseModel,
    scorer: Scorer,
    decoding: Decoding,
    max_prompt_tokens: int,
    judge: Judge | None = None,
) -> Generator[dict[str, Any], None, None]:
    """One report a candidate, in order, all by the same decoding and seeds: the shape of `fgctl evaluate --json`.

    `clean_rate` is the share of segments not judged errors, `completeness` the mean log-odds of covering more than
    an average annotated response, `error_ratio` the share of segments judged errors, `corrected_error_ratio` the
    share that people would mark by the known rates of false alarms and misses, `in_domain` the share of answers
    like those the reward models were fitted on, `rouge_lsum` is on a scale of 100, `repetition` the share of four-
    word sequences that occurred before in the same response, `weighted_reward` the mean over responses of the
    weighted sum of the rewards of their segments; `judge` has what the judge says of the same, None without one.
    Raises FgctlError for weights of a category that is not in use.
    """
    for one in candidates:
        one.weights.check(scorer.categories)
    sampler: Sampler | None = None
    try:
        for one in candidates:
            path = None if one.name == BASE else store.path(one.name, one.version)
            trunk = Trunk(base, LoraRecipe(top_layers=1), path, decoding.temperature)
            if sampler is None:
                sampler = make_sampler("auto", base, trunk, max_prompt_tokens + decoding.max_tokens)
            sampler.synchronise(trunk)
            formatter = PromptFormatter(trunk.tokenizer, max_prompt_tokens)
            prompts = [formatter.format(e.question, e.passages) for e in examples]
            sampled = sampler.sample(
                [prompt.token_ids for prompt in prompts], 1, decoding.max_tokens, _SEED, top_p=decoding.top_p
            )
            tokens = [answers[0].token_ids for answers in sampled]
            texts = [trunk.decode(ids) for ids in tokens]
            requests = [
                ScoreRequest(e.question, prompt.passages, text)
                for e, prompt, text in zip(examples, prompts, texts, strict=True)
            ]
            report = report_on(one, requests, [e.answer for e in examples], scorer, judge)
            yield report | {
                "length": report["length"] | {"tokens": fmean(map(len, tokens))},
                "truncated": fmean(trunk.eos not in ids for ids in tokens),
                "decoding": decoding.model_dump(),
            }
    finally:
        if sampler is not None:
            sampler.close()


def report_on(
    one: Candidate,
    requests: Sequence[ScoreRequest],
    references: Sequence[str],
    scorer: Scorer,
    judge: Judge | None = None,
) -> dict[str, Any]:
    """The part of a report that depends on the texts alone, judged against the passages that the policy was shown."""
    texts = [request.response for request in requests]
    scored = scorer.score(requests)
    judged = {c: [segment.error for s in scored for segment in s.categories[c].segments] for c in scorer.categories}
    errors = {category: fmean(every) if every else 0.0 for category, every in judged.items()}
    return {
        "profile": one.name,
        "version": one.version,
        "weights": one.weights.as_dict(),
        "n": len(texts),
        "length": {"words": word_count(texts)},
        "clean_rate": {category: 1 - ratio for category, ratio in errors.items() if category != "completeness"},
        "completeness": fmean(s.categories["completeness"].score or 0.0 for s in scored),
        "error_ratio": errors,
        "corrected_error_ratio": {
            category: _corrected(judged[category], point)
            for category, point in scorer.feedback.operating_points.items()
        },
        "in_domain": fmean(s.in_domain for s in scored),
        "rouge_lsum": rouge_lsum(references, texts),
        "repetition": fmean(map(repetition, texts)),
        "weighted_reward": fmean(weighted_reward(s, one.weights) for s in scored),
        "rewards": scorer.version,
        "judge": judge and second_opinion(judge, requests),
    }


def second_opinion(judge: Judge, requests: Sequence[ScoreRequest]) -> dict[str, Any]:
    """What the judge, on which nothing is trained, says of the texts."""
    judged = judge.judge(requests)
    every = {category: [error for one in judged for error in one.errors[category]] for category in JUDGED}
    return {
        "version": judge.version,
        "clean_rate": {category: 1 - fmean(errors) if errors else 1.0 for category, errors in every.items()},
        "completeness": fmean(one.completeness for one in judged),
    }


def _corrected(errors: Sequence[bool], point: OperatingPoint) -> dict[str, float] | None:
    """The share people would mark, with its 95 % interval; None where the reward model cannot tell."""
    estimate = corrected_rate(sum(errors), len(errors), point)
    return None if estimate is None else asdict(estimate)


def weighted_reward(scored: ScoredResponse, weights: Weights) -> float:
    """What PPO maximises, without the KL penalty: each category's segment rewards summed, weighted, added up."""
    return sum(weights[category] * sum(judged.rewards) for category, judged in scored.categories.items())


def rouge_lsum(references: Sequence[str], texts: Sequence[str]) -> float:
    """Mean ROUGE-Lsum F1 of 0 to 100 (Lin 2004), with stemming, one sentence a line."""
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeLsum"], use_stemmer=True)
    pairs = zip(references, texts, strict=True)
    return 100 * fmean(scorer.score(_lines(a), _lines(b))["rougeLsum"].fmeasure for a, b in pairs)


def _lines(text: str) -> str:
    return "\n".join(text[start:end] for start, end in segments(text, "sentence"))


def repetition(text: str) -> float:
    """Share of the text's four-word sequences that occurred earlier in it: 0 for none, towards 1 for a loop."""
    words = text.lower().split()
    grams = [tuple(words[i : i + _NGRAM]) for i in range(len(words) - _NGRAM + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def supervised_first(names: Sequence[str]) -> list[str]:
    """Profiles in the order of a table: the supervised parent first, then as they come."""
    return [name for name in names if name == SFT] + [name for name in names if name != SFT]
