"""Offline evaluation: policies answer every question, and rewards, judge and references are applied to the answers."""

import hashlib
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from math import exp
from statistics import fmean
from typing import Any

from policies.base import BaseModel
from policies.store import SFT, Decoding
from rewards.dataset import Example, questions_digest
from rewards.models.judge import Judge
from rewards.scorer import Scorer
from rewards.scores import ScoredResponse, ScoreRequest
from trainer.evaluation.answers import Answers, Progress, answer, by_people, silent
from trainer.evaluation.candidates import Candidate
from trainer.evaluation.intervals import by_question, comparison, intervals
from trainer.evaluation.online_baseline import online_baseline
from trainer.evaluation.perplexity import base_nll
from trainer.evaluation.report import Opinion, References, report_on, rounded
from trainer.policy_model import PolicyModel
from trainer.recipe import LoraRecipe
from trainer.rollouts.choose_sampler import Setting, make_sampler
from trainer.rollouts.sampler import Sampler
from trainer.tasks.qa import TASK as QUESTION_ANSWERING
from trainer.tasks.task import Task

TOGETHER = 4
"""Candidates whose answers are judged together: judge and perplexity read a question and its passages once for all of
their answers. More would save little, and an interrupted experiment would lose more."""
SCORED_TOGETHER = 100
"""Answers that are scored in one call."""


def evaluate_policies(
    candidates: Sequence[Candidate],
    examples: Sequence[Example],
    base: BaseModel,
    scorer: Scorer,
    decoding: Decoding | None,
    max_prompt_tokens: int,
    judge: Judge | None = None,
    samples: int = 1,
    progress: Progress = silent,
    *,
    task: Task = QUESTION_ANSWERING,
    perplexity: bool = True,
) -> Generator[dict[str, Any], None, None]:
    """A report for each candidate, in order, all with the same seeds: the shape of `fgctl evaluate --json`.

    `decoding` applies to all candidates; None samples each as it is served. `samples` is the number of responses to
    each question, which greedy decoding reduces to one.

    Besides what `report_on` derives from the texts, a report has `truncated`, the share of responses that did not end;
    `perplexity` of the responses under `base` without an adapter (trainer.evaluation.perplexity), None unless it is
    asked for, as it takes a pass over every prompt; `references`, the figures of the reference answers by the same
    weights; `intervals`, the 95 % interval of each figure by its dotted name; `against`, a comparison with the first
    supervised parent before it or None; `pairs`, comparisons with every other policy before it
    (trainer.evaluation.intervals.comparison); `same_answers`, by the name of each policy before it, the share of
    questions to which both give the same answer; and `served`, what to expect of it in service
    (trainer.evaluation.online_baseline), None unless `decoding` is None. `questions` is a digest of the questions in
    order, in which `per_question` has its values.

    Raises FgctlError for weights of a category that is not in use.
    """
    for candidate in candidates:
        candidate.weights.check(scorer.categories)
    longest = max(((decoding or candidate.decoding).max_tokens for candidate in candidates), default=0)
    engine = PolicyEngine(base, max_prompt_tokens + longest)
    references: References | None = None
    reports: list[dict[str, Any]] = []
    try:
        for first in range(0, len(candidates), TOGETHER):
            answered = []
            for candidate in candidates[first : first + TOGETHER]:
                by = decoding or candidate.decoding
                n = samples if by.temperature else 1
                progress(f"{candidate.name}: answering", 0, len(examples))
                model, sampler = engine.load(candidate)
                answers = answer(examples, model, sampler, by, max_prompt_tokens, n, task)
                progress(f"{candidate.name}: answering", len(examples), len(examples))
                answered.append(_Answered(candidate, by, n, answers))
            texts = [policy.answers.requests for policy in answered]
            if references is None:
                texts.append(by_people(answered[0].answers, answered[0].samples))
            scored = _scores(scorer, texts, progress)
            opinions = _opinions(judge, texts, progress)
            likelihoods: Sequence[list[float] | None] = [None] * len(answered)
            if perplexity:
                likelihoods = _nll(engine.plain(), [policy.answers for policy in answered], progress)
            if references is None:
                references = References(texts.pop(), scored.pop(), opinions.pop())
            for policy, scores, opinion, likelihood in zip(answered, scored, opinions, likelihoods, strict=True):
                report = _report(policy, scores, opinion, likelihood, model.eos, scorer, served=decoding is None)
                report |= {
                    "n": len(examples),
                    "questions": questions_digest(example.question for example in examples),
                    "references": references.figures(policy.candidate, scorer),
                }
                report |= {"intervals": intervals(report)} | _compared(report, reports, candidates)
                reports.append(report)
                yield report
    finally:
        engine.close()


class PolicyEngine:
    """Loads candidates one after another: the sampler is made for the first and given the weights of each."""

    def __init__(self, base: BaseModel, max_tokens: int) -> None:
        """`max_tokens` are those of the longest prompt and answer together."""
        self._base, self._max_tokens = base, max_tokens
        self._sampler: Sampler | None = None
        self._plain: PolicyModel | None = None

    def load(self, candidate: Candidate) -> tuple[PolicyModel, Sampler]:
        """The candidate's model, and the sampler with its weights."""
        files = candidate.files
        model = PolicyModel(files.model, LoraRecipe(top_layers=1), files.adapter)
        if files.model == self._base:
            self._plain = model
        if self._sampler is None:
            self._sampler = make_sampler("auto", Setting(files.model, model, self._max_tokens))
        self._sampler.synchronise(model)
        return model, self._sampler

    def plain(self) -> PolicyModel:
        """A model of the base itself, for perplexity; policies on a trunk do not bring one along."""
        if self._plain is None:
            self._plain = PolicyModel(self._base, LoraRecipe(top_layers=1))
        return self._plain

    def close(self) -> None:
        """Free the sampler."""
        if self._sampler is not None:
            self._sampler.close()


@dataclass(frozen=True)
class _Answered:
    """A candidate's answers, and how they were sampled."""

    candidate: Candidate
    by: Decoding
    samples: int
    answers: Answers


def _scores(scorer: Scorer, texts: Sequence[list[ScoreRequest]], progress: Progress) -> list[list[ScoredResponse]]:
    """The scores of each part of the texts; answers to the same question are scored in the same call.

    Reward models read the passages of a call's questions once for all of their answers.
    """
    every = [request for requests in texts for request in requests]
    place: dict[Any, int] = {}
    places = [place.setdefault((request.question, request.passages), len(place)) for request in every]
    order = sorted(range(len(every)), key=places.__getitem__)
    scored: dict[int, ScoredResponse] = {}
    for first in range(0, len(order), SCORED_TOGETHER):
        progress("scoring", first, len(every))
        part = order[first : first + SCORED_TOGETHER]
        scored |= zip(part, scorer.score([every[i] for i in part]), strict=True)
    progress("scoring", len(every), len(every))
    in_order = (scored[i] for i in range(len(every)))
    return [[next(in_order) for _ in requests] for requests in texts]


def _opinions(judge: Judge | None, texts: Sequence[list[ScoreRequest]], progress: Progress) -> list[Opinion | None]:
    """The judge's opinion of each part of the texts, in passes that all parts share; None without a judge."""
    if judge is None:
        return [None] * len(texts)
    every = [request for requests in texts for request in requests]
    judgements = iter(judge.judge(every, lambda done, total: progress("judging", done, total)))
    return [Opinion(judge.version, [next(judgements) for _ in requests]) for requests in texts]


def _nll(model: PolicyModel, answered: Sequence[Answers], progress: Progress) -> list[list[float]]:
    """The negative log-likelihoods of each policy's texts (trainer.evaluation.perplexity), in shared passes."""
    prompts = [prompt for answers in answered for prompt in answers.prompts]
    texts = [_text(response, model.eos) for answers in answered for response in answers.tokens]
    nll = iter(base_nll(model, prompts, texts, lambda done, total: progress("perplexity", done, total)))
    return [[next(nll) for _ in answers.tokens] for answers in answered]


def _text(response: Sequence[int], eos: int) -> list[int]:
    """A response's tokens without the end-of-text token."""
    return [token for token in response if token != eos]


def _report(
    policy: _Answered,
    scored: list[ScoredResponse],
    opinion: Opinion | None,
    nll: list[float] | None,
    eos: int,
    scorer: Scorer,
    *,
    served: bool,
) -> dict[str, Any]:
    """A report without the parts that depend on the questions or on other policies."""
    answers, n = policy.answers, policy.samples
    report = report_on(policy.candidate, answers.requests, scored, answers.references, scorer, opinion)
    lengths = [len(_text(response, eos)) for response in answers.tokens]
    truncated = [int(eos not in response) for response in answers.tokens]
    values = None if nll is None else rounded(nll)
    by_response = report["per_question"] | {"truncated": truncated, "nll": values, "nll_tokens": lengths}
    return report | {
        "decoding": policy.by.model_dump(),
        "samples": n,
        "length": report["length"] | {"tokens": fmean(map(len, answers.tokens))},
        "truncated": fmean(truncated),
        "perplexity": None if nll is None else _perplexity(nll, lengths),
        "per_question": by_question(by_response, n) | {"answer": _digests(answers, n)},
        "served": online_baseline(policy.by, scorer.version, answers.requests, scored, truncated) if served else None,
    }


def _perplexity(nll: Sequence[float], lengths: Sequence[int]) -> float:
    """From the mean negative log-likelihood of each response and its number of tokens."""
    total = sum(mean * length for mean, length in zip(nll, lengths, strict=True))
    return exp(total / max(1, sum(lengths)))


def _digests(answers: Answers, samples: int) -> list[str]:
    """What identifies the answers to each question: equal for equal texts."""
    texts = [request.response for request in answers.requests]
    together = ["\0".join(texts[i : i + samples]) for i in range(0, len(texts), samples)]
    return [hashlib.sha256(text.encode()).hexdigest()[:12] for text in together]


def _compared(
    report: dict[str, Any], before: Sequence[dict[str, Any]], candidates: Sequence[Candidate]
) -> dict[str, Any]:
    """Comparisons of a report with the ones before it."""
    comparisons = [(other, comparison(report, other)) for other in before]
    names = [candidate.name for candidate in candidates]

    def label(other: dict[str, Any]) -> str:
        name: str = other["profile"]
        return f"{name}@{other['version']}" if names.count(name) > 1 else name

    same = {label(other): compared["same_answers"]["share"] for other, compared in comparisons}
    parent = next((compared for other, compared in comparisons if other["profile"] == SFT), None)
    pairs = [compared for other, compared in comparisons if other["profile"] != SFT]
    if report["profile"] == SFT:
        parent, pairs = None, []
    return {"against": parent, "pairs": pairs, "same_answers": same}
