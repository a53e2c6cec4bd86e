"""The part of a report that depends on the texts alone: rewards, judge, ROUGE, repetition."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from statistics import fmean
from typing import Any

from rewards.categories import JUDGED
from rewards.dataset import word_count
from rewards.models.judge import Judge
from rewards.scorer import Scorer
from rewards.scores import ScoredResponse, ScoreRequest, weighted_reward
from rewards.segmentation import segments
from rewards.statistics.calibration import OperatingPoint, corrected_rate
from rewards.traits.response_traits import repetition
from trainer.evaluation.candidates import Candidate


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
            "weighted_reward": rounded(weighted),
            "reward": {
                c: rounded(sum(s.categories[c].rewards) / spec.unit for s in scored)
                for c, spec in scorer.categories.items()
            },
            "words": [len(text.split()) for text in texts],
            "completeness": rounded(completeness),
            **_counts({c: every for c, every in judged.items() if c != "completeness"}),
            "rouge_lsum": rounded(rouge),
            "repetition": rounded(repeated),
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
    return figures, {"completeness": rounded(completeness), **_counts(errors)}


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


def rounded(values: Iterable[float]) -> list[float]:
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
