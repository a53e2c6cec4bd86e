"""Offline evaluation of policies: answer every question, judge the answers, compare them with the references."""

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import exp
from statistics import fmean
from typing import Any

from policies.base import BaseModel
from policies.prompt import PromptFormatter
from policies.store import SFT, Decoding, Named, PolicyStore
from policies.weights import Weights
from rewards.calibration import OperatingPoint, corrected_rate
from rewards.categories import JUDGED
from rewards.dataset import Example, questions_digest, word_count
from rewards.judge import Judge
from rewards.scorer import Scorer
from rewards.scores import ScoreRequest, weighted_reward
from rewards.segmentation import segments
from trainer.intervals import comparison, intervals
from trainer.perplexity import base_nll
from trainer.recipe import LoraRecipe
from trainer.rollouts import Sampler, make_sampler
from trainer.trunk import Trunk

BASE = "base"
"""Stands for the base model without any adapter."""
GREEDY = Decoding(temperature=0, top_p=1)
"""The most likely token every time, so that nothing is left to the draw."""
MAX_PROMPT_TOKENS = 1024
_SEED = 1
_NGRAM = 4


@dataclass(frozen=True)
class Candidate:
    """What to evaluate: a stored version of a profile or of the supervised parent, or the base."""

    name: str
    version: str
    weights: Weights
    """By which `weighted_reward` is summed; the parent and the base, which have none, are given some."""


def candidate(store: PolicyStore, name: str, fallback: Weights, base: BaseModel) -> Candidate:
    """The candidate of that name, `NAME` for the current version of a profile or `NAME@VERSION` for any stored one.

    Raises FgctlError when there is none, or it belongs to another base.
    """
    if name == BASE:
        return Candidate(BASE, base.digest[:12], fallback)
    profile, _, version = name.partition("@")
    if version:
        weights = store.manifest(profile, version).weights
    else:
        current = store.profile(profile)
        version, weights = current.version, current.weights
    store.verify(profile, version, Named(name=base.name, digest=base.digest))
    return Candidate(profile, version, weights or fallback)


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

    Beside what `report_on` says of the texts, `truncated` is the share of responses that did not end, `perplexity`
    that of the responses under the base without any adapter (trainer.perplexity), and `intervals` has the 95 %
    interval of each figure by its dotted name. `against` compares a policy with the first supervised parent before
    it, None where there is none, and `pairs` with every other policy before it (trainer.intervals.comparison).
    Raises FgctlError for weights of a category that is not in use.
    """
    for one in candidates:
        one.weights.check(scorer.categories)
    reports: list[dict[str, Any]] = []
    sampler: Sampler | None = None
    try:
        for one in candidates:
            path = None if one.name == BASE else store.path(one.name, one.version)
            trunk = Trunk(base, LoraRecipe(top_layers=1), path)
            if sampler is None:
                sampler = make_sampler("auto", base, trunk, max_prompt_tokens + decoding.max_tokens)
            sampler.synchronise(trunk)
            formatter = PromptFormatter(trunk.tokenizer, max_prompt_tokens)
            prompts = [formatter.format(e.question, e.passages) for e in examples]
            ids = [prompt.token_ids for prompt in prompts]
            sampled = sampler.sample(
                ids, 1, decoding.max_tokens, _SEED, top_p=decoding.top_p, temperature=decoding.temperature
            )
            tokens = [answers[0].token_ids for answers in sampled]
            requests = [
                ScoreRequest(e.question, prompt.passages, trunk.decode(response))
                for e, prompt, response in zip(examples, prompts, tokens, strict=True)
            ]
            report = report_on(one, requests, [e.answer for e in examples], scorer, judge)
            report |= {"decoding": decoding.model_dump()} | _with_tokens(report, trunk, ids, tokens)
            report |= {"intervals": intervals(report)} | _compared(report, reports)
            reports.append(report)
            yield report
    finally:
        if sampler is not None:
            sampler.close()


def _with_tokens(
    report: dict[str, Any], trunk: Trunk, prompts: Sequence[Sequence[int]], tokens: Sequence[Sequence[int]]
) -> dict[str, Any]:
    """The part of a report that depends on the responses' tokens."""
    said = [[token for token in response if token != trunk.eos] for response in tokens]
    nll = base_nll(trunk, prompts, said)
    lengths = [len(response) for response in said]
    total = sum(mean * length for mean, length in zip(nll, lengths, strict=True))
    truncated = [int(trunk.eos not in response) for response in tokens]
    return {
        "length": report["length"] | {"tokens": fmean(map(len, tokens))},
        "truncated": fmean(truncated),
        "perplexity": exp(total / max(1, sum(lengths))),
        "per_question": report["per_question"] | {"truncated": truncated, "nll": _rounded(nll), "nll_tokens": lengths},
    }


def _compared(report: dict[str, Any], before: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How a report differs from those before it."""
    if report["profile"] == SFT:
        return {"against": None, "pairs": []}
    parent = next((comparison(report, one) for one in before if one["profile"] == SFT), None)
    return {"against": parent, "pairs": [comparison(report, one) for one in before if one["profile"] != SFT]}


def report_on(
    one: Candidate,
    requests: Sequence[ScoreRequest],
    references: Sequence[str],
    scorer: Scorer,
    judge: Judge | None = None,
) -> dict[str, Any]:
    """The part of a report that depends on the texts alone, judged against the passages that the policy was shown.

    `clean_rate` is the share of segments not judged errors, `completeness` the mean log-odds of covering more than
    an average annotated response, `error_ratio` the share of segments judged errors, `corrected_error_ratio` the
    share that people would mark by the known rates of false alarms and misses, `in_domain` the share of answers
    like those the reward models were fitted on, `rouge_lsum` is on a scale of 100, `repetition` the share of four-
    word sequences that occurred before in the same response, `weighted_reward` the mean over responses of the
    weighted sum of the rewards of their segments; `judge` has what the judge says of the same, None without one.
    `questions` is a digest of the questions in order, and `per_question` has the values by question in that order:
    `reward` by category, in its unit, before weighting, numbers of `segments` and `errors` where a clean rate is made
    of them.
    """
    texts = [request.response for request in requests]
    scored = scorer.score(requests)
    judged = {c: [[s.error for s in one.categories[c].segments] for one in scored] for c in scorer.categories}
    errors = {category: _share(every) for category, every in judged.items()}
    completeness = [s.categories["completeness"].score or 0.0 for s in scored]
    rouge = rouge_lsum(references, texts)
    repeated = [repetition(text) for text in texts]
    weighted = [weighted_reward(s, one.weights.as_dict(), scorer.categories) for s in scored]
    opinion, opinions = second_opinion(judge, requests) if judge else (None, None)
    return {
        "profile": one.name,
        "version": one.version,
        "weights": one.weights.as_dict(),
        "n": len(texts),
        "questions": questions_digest(request.question for request in requests),
        "length": {"words": word_count(texts)},
        "clean_rate": {category: 1 - share for category, share in errors.items() if category != "completeness"},
        "completeness": fmean(completeness),
        "error_ratio": errors,
        "corrected_error_ratio": {
            category: _corrected(judged[category], point)
            for category, point in scorer.feedback.operating_points.items()
        },
        "in_domain": fmean(s.in_domain for s in scored),
        "rouge_lsum": fmean(rouge),
        "repetition": fmean(repeated),
        "weighted_reward": fmean(weighted),
        "rewards": scorer.version,
        "judge": opinion,
        "per_question": {
            "weighted_reward": _rounded(weighted),
            "reward": {
                c: _rounded(sum(s.categories[c].rewards) / spec.unit for s in scored)
                for c, spec in scorer.categories.items()
            },
            "words": [len(text.split()) for text in texts],
            "completeness": _rounded(completeness),
            **_counts({c: every for c, every in judged.items() if c != "completeness"}),
            "rouge_lsum": _rounded(rouge),
            "repetition": _rounded(repeated),
            "judge": opinions,
        },
    }


def second_opinion(judge: Judge, requests: Sequence[ScoreRequest]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the judge, on which nothing is trained, says of the texts: its figures, and its values by question."""
    judged = judge.judge(requests)
    errors = {category: [one.errors[category] for one in judged] for category in JUDGED}
    completeness = [one.completeness for one in judged]
    figures = {
        "version": judge.version,
        "clean_rate": {category: 1 - _share(every) for category, every in errors.items()},
        "completeness": fmean(completeness),
    }
    return figures, {"completeness": _rounded(completeness), **_counts(errors)}


def _share(errors: Sequence[Sequence[bool]]) -> float:
    """The share of errors among the segments of all responses, 0 without any segment."""
    every = [error for response in errors for error in response]
    return fmean(every) if every else 0.0


def _counts(errors: Mapping[str, Sequence[Sequence[bool]]]) -> dict[str, dict[str, list[int]]]:
    """Numbers of segments and of errors among them, by category and response."""
    return {
        "segments": {category: [len(one) for one in responses] for category, responses in errors.items()},
        "errors": {category: [sum(one) for one in responses] for category, responses in errors.items()},
    }


def _rounded(values: Iterable[float]) -> list[float]:
    """To what a policy.json keeps of them."""
    return [round(float(value), 4) for value in values]


def _corrected(errors: Sequence[Sequence[bool]], point: OperatingPoint) -> dict[str, float] | None:
    """The share people would mark, with its 95 % interval; None where the reward model cannot tell."""
    estimate = corrected_rate(sum(map(sum, errors)), sum(map(len, errors)), point)
    return None if estimate is None else asdict(estimate)


def rouge_lsum(references: Sequence[str], texts: Sequence[str]) -> list[float]:
    """ROUGE-Lsum F1 of 0 to 100 (Lin 2004) of each text, with stemming, one sentence a line."""
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeLsum"], use_stemmer=True)
    pairs = zip(references, texts, strict=True)
    return [100 * scorer.score(_lines(a), _lines(b))["rougeLsum"].fmeasure for a, b in pairs]


def _lines(text: str) -> str:
    return "\n".join(text[start:end] for start, end in segments(text, "sentence"))


def repetition(text: str) -> float:
    """Share of the text's four-word sequences that occurred earlier in it: 0 for none, towards 1 for a loop."""
    words = text.lower().split()
    grams = [tuple(words[i : i + _NGRAM]) for i in range(len(words) - _NGRAM + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def supervised_first(names: Sequence[str]) -> list[str]:
    """Names of candidates with the supervised parent first, as the others are compared with it, then as they come."""
    return sorted(names, key=lambda name: name.partition("@")[0] != SFT)
