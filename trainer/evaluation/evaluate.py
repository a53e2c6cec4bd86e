"""Offline evaluation of policies: answer every question, judge the answers, compare them with the references."""

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import exp
from statistics import fmean
from typing import Any

from policies.base import BaseModel
from policies.manifest import Named
from policies.prompt import PromptFormatter
from policies.store import SFT, Decoding, PolicyStore
from policies.weights import Weights
from rewards.categories import SEGMENT_CATEGORIES
from rewards.dataset import Example, questions_digest
from rewards.features.words import mean_words
from rewards.models.judge import Judge
from rewards.scorer import Scorer
from rewards.scores import ScoredResponse, ScoreRequest, weighted_reward
from rewards.segmentation import segments
from rewards.statistics.calibration import OperatingPoint, corrected_rate
from rewards.traits.response_traits import repetition
from trainer.evaluation.intervals import by_question, comparison, intervals
from trainer.evaluation.online_baseline import served_scores
from trainer.evaluation.perplexity import base_nll
from trainer.policy_model import Trunk
from trainer.recipe import LoraRecipe
from trainer.rollouts import Sampler, make_sampler

BASE = "base"
"""Stands for the base model without any adapter."""
GREEDY = Decoding(temperature=0, top_p=1)
"""The most likely token every time, so that nothing is left to the draw."""
MAX_PROMPT_TOKENS = 1024
_SEED = 1


@dataclass(frozen=True)
class Candidate:
    """What to evaluate: a stored version of a profile or of the supervised parent, or the base."""

    name: str
    version: str
    weights: Weights
    """By which `weighted_reward` is summed; the parent and the base, which have none, are given some."""
    decoding: Decoding = field(default_factory=Decoding)
    """How it is sampled where it is served."""


def candidate(store: PolicyStore, name: str, fallback: Weights, base: BaseModel) -> Candidate:
    """The candidate of that name, `NAME` for the current version of a profile or `NAME@VERSION` for any stored one.

    Raises FgctlError when there is none, or it belongs to another base.
    """
    if name == BASE:
        return Candidate(BASE, base.digest[:12], fallback)
    profile, _, version = name.partition("@")
    if version:
        known, weights = store.profiles().get(profile), store.manifest(profile, version).weights
    else:
        known = store.profile(profile)
        version, weights = known.version, known.weights
    store.verify(profile, version, Named(name=base.name, digest=base.digest))
    return Candidate(profile, version, weights or fallback, known.decoding if known else Decoding())


def evaluate_policies(
    candidates: Sequence[Candidate],
    examples: Sequence[Example],
    store: PolicyStore,
    base: BaseModel,
    scorer: Scorer,
    decoding: Decoding | None,
    max_prompt_tokens: int,
    judge: Judge | None = None,
    samples: int = 1,
) -> Generator[dict[str, Any], None, None]:
    """One report a candidate, in order, all by the same seeds: the shape of `fgctl evaluate --json`.

    `decoding` is that of all, or None for each one's own, as it is served; `samples` are the responses to a question,
    of which there is one where the most likely token is taken. `questions` is a digest of the questions in order, in
    which `per_question` has its values.

    Beside what `report_on` says of the texts, `truncated` is the share of responses that did not end, `perplexity`
    that of the responses under the base without any adapter (trainer.evaluation.perplexity), and `intervals` has the 95 %
    interval of each figure by its dotted name. `against` compares a policy with the first supervised parent before
    it, None where there is none, and `pairs` with every other policy before it (trainer.evaluation.intervals.comparison).
    `served` is what is expected of it online (trainer.evaluation.online_baseline), None unless each is sampled as it is served.

    Raises FgctlError for weights of a category that is not in use.
    """
    for one in candidates:
        one.weights.check(scorer.categories)
    reports: list[dict[str, Any]] = []
    sampler: Sampler | None = None
    longest = max((one.max_tokens for one in (decoding or c.decoding for c in candidates)), default=0)
    try:
        for one in candidates:
            path = None if one.name == BASE else store.path(one.name, one.version)
            trunk = Trunk(base, LoraRecipe(top_layers=1), path)
            if sampler is None:
                sampler = make_sampler("auto", base, trunk, max_prompt_tokens + longest)
            sampler.synchronise(trunk)
            by = decoding or one.decoding
            n = samples if by.temperature else 1
            answers = _answer(examples, trunk, sampler, by, max_prompt_tokens, n)
            scored = scorer.score(answers.requests)
            report = report_on(one, answers.requests, scored, answers.references, scorer, judge)
            report |= {"decoding": by.model_dump(), "samples": n} | _with_tokens(report, trunk, answers)
            truncated = report["per_question"]["truncated"]
            own = decoding is None
            report |= {
                "n": len(examples),
                "questions": questions_digest(example.question for example in examples),
                "per_question": by_question(report["per_question"], n),
                "served": served_scores(by, scorer.version, answers.requests, scored, truncated) if own else None,
            }
            report |= {"intervals": intervals(report)} | _compared(report, reports)
            reports.append(report)
            yield report
    finally:
        if sampler is not None:
            sampler.close()


@dataclass(frozen=True)
class _Answers:
    """By response: the samples of a question follow one another."""

    requests: list[ScoreRequest]
    references: list[str]
    prompts: list[tuple[int, ...]]
    """Token ids."""
    tokens: list[list[int]]
    """Of the response, with the end-of-text token where it ended."""


def _answer(
    examples: Sequence[Example], trunk: Trunk, sampler: Sampler, by: Decoding, max_prompt_tokens: int, samples: int
) -> _Answers:
    formatter = PromptFormatter(trunk.tokenizer, max_prompt_tokens)
    prompts = [formatter.format(e.question, e.passages) for e in examples]
    sampled = sampler.sample(
        [prompt.token_ids for prompt in prompts],
        samples,
        by.max_tokens,
        _SEED,
        top_p=by.top_p,
        temperature=by.temperature,
    )
    every = [
        (example, prompt, one.token_ids)
        for example, prompt, answers in zip(examples, prompts, sampled, strict=True)
        for one in answers
    ]
    return _Answers(
        [ScoreRequest(e.question, prompt.passages, trunk.decode(tokens)) for e, prompt, tokens in every],
        [e.answer for e, _, _ in every],
        [prompt.token_ids for _, prompt, _ in every],
        [tokens for _, _, tokens in every],
    )


def _with_tokens(report: dict[str, Any], trunk: Trunk, answers: _Answers) -> dict[str, Any]:
    """The part of a report that depends on the responses' tokens."""
    said = [[token for token in response if token != trunk.eos] for response in answers.tokens]
    nll = base_nll(trunk, answers.prompts, said)
    lengths = [len(response) for response in said]
    total = sum(mean * length for mean, length in zip(nll, lengths, strict=True))
    truncated = [int(trunk.eos not in response) for response in answers.tokens]
    return {
        "length": report["length"] | {"tokens": fmean(map(len, answers.tokens))},
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
    scored: Sequence[ScoredResponse],
    references: Sequence[str],
    scorer: Scorer,
    judge: Judge | None = None,
) -> dict[str, Any]:
    """The part of a report that depends on the texts alone, judged against the passages that the policy was shown.

    `scored` is what the scorer says of the requests.
    `clean_rate` is the share of segments not judged errors, `completeness` the mean log-odds of covering more than
    an average annotated response, `error_ratio` the share of segments judged errors, `corrected_error_ratio` the
    share that people would mark by the known rates of false alarms and misses, `in_domain` the share of answers
    like those the reward models were fitted on, `rouge_lsum` is on a scale of 100, `repetition` the share of four-
    word sequences that occurred before in the same response, `weighted_reward` the mean over responses of the
    weighted sum of the rewards of their segments; `judge` has what the judge says of the same, None without one.
    `per_question` has the values by response in order: `reward` by category, in its unit, before weighting, numbers of
    `segments` and `errors` where a clean rate is made of them.
    """
    texts = [request.response for request in requests]
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
        "length": {"words": mean_words(texts)},
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
    errors = {category: [one.errors[category] for one in judged] for category in SEGMENT_CATEGORIES}
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


def supervised_first(names: Sequence[str]) -> list[str]:
    """Names of candidates with the supervised parent first, as the others are compared with it, then as they come."""
    return sorted(names, key=lambda name: name.partition("@")[0] != SFT)
