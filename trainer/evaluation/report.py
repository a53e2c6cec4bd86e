"""The part of a report that depends on the texts alone: rewards, judge, ROUGE, repetition."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from statistics import fmean
from typing import Any

from rewards.categories import SEGMENT_CATEGORIES
from rewards.features.words import mean_words
from rewards.models.judge import Judge
from rewards.scorer import Scorer
from rewards.scores import ScoredResponse, ScoreRequest, weighted_reward
from rewards.segmentation import segments
from rewards.statistics.calibration import OperatingPoint, corrected_rate
from rewards.traits.response_traits import repetition
from trainer.evaluation.candidates import Candidate


def report_on(
    candidate: Candidate,
    requests: Sequence[ScoreRequest],
    scored: Sequence[ScoredResponse],
    references: Sequence[str],
    scorer: Scorer,
    judge: Judge | None = None,
) -> dict[str, Any]:
    """The part of a report that depends on the texts alone, scored against the passages that the policy was shown.

    `scored` are the scores of the requests. The figures:

    - `clean_rate`: share of segments that are not judged errors; `error_ratio`: share of those that are
    - `corrected_error_ratio`: share that people would mark, by the known rates of false alarms and misses
    - `completeness`: mean log-odds of covering more than an average annotated response
    - `weighted_reward`: mean over responses of the weighted sum of their segments' rewards
    - `in_domain`: share of answers like the reward models' training data
    - `rouge_lsum`: on a scale of 100
    - `repetition`: share of four-word sequences that occurred before in the same response
    - `judge`: the judge's figures, None without a judge
    - `per_question`: the values by response, in order: `reward` by category, in its unit, before weighting; numbers of
      `segments` and `errors` for the categories with a clean rate
    """
    texts = [request.response for request in requests]
    is_error = {c: [[s.error for s in r.categories[c].segments] for r in scored] for c in scorer.categories}
    errors = {category: _share(responses) for category, responses in is_error.items()}
    completeness = [s.categories["completeness"].score or 0.0 for s in scored]
    rouge = rouge_lsum(references, texts)
    repeated = [repetition(text) for text in texts]
    weighted = [weighted_reward(s, candidate.weights.as_dict(), scorer.categories) for s in scored]
    opinion, opinions = second_opinion(judge, requests) if judge else (None, None)
    return {
        "profile": candidate.name,
        "version": candidate.version,
        "weights": candidate.weights.as_dict(),
        "length": {"words": mean_words(texts)},
        "clean_rate": {category: 1 - share for category, share in errors.items() if category != "completeness"},
        "completeness": fmean(completeness),
        "error_ratio": errors,
        "corrected_error_ratio": {
            category: _corrected(is_error[category], point)
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
            **_counts({c: responses for c, responses in is_error.items() if c != "completeness"}),
            "rouge_lsum": rounded(rouge),
            "repetition": rounded(repeated),
            "judge": opinions,
        },
    }


def second_opinion(judge: Judge, requests: Sequence[ScoreRequest]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The judge's figures on the texts, and its values by response. Nothing is trained on the judge."""
    judgements = judge.judge(requests)
    errors = {category: [judgement.errors[category] for judgement in judgements] for category in SEGMENT_CATEGORIES}
    completeness = [judgement.completeness for judgement in judgements]
    figures = {
        "version": judge.version,
        "clean_rate": {category: 1 - _share(responses) for category, responses in errors.items()},
        "completeness": fmean(completeness),
    }
    return figures, {"completeness": rounded(completeness), **_counts(errors)}


def _share(errors: Sequence[Sequence[bool]]) -> float:
    """The share of errors among the segments of all responses; 0 without segments."""
    flat = [error for response in errors for error in response]
    return fmean(flat) if flat else 0.0


def _counts(errors: Mapping[str, Sequence[Sequence[bool]]]) -> dict[str, dict[str, list[int]]]:
    """Numbers of segments and of errors, by category and response."""
    return {
        "segments": {category: [len(response) for response in responses] for category, responses in errors.items()},
        "errors": {category: [sum(response) for response in responses] for category, responses in errors.items()},
    }


def rounded(values: Iterable[float]) -> list[float]:
    """The values, rounded as policy.json stores them."""
    return [round(float(value), 4) for value in values]


def _corrected(errors: Sequence[Sequence[bool]], point: OperatingPoint) -> dict[str, float] | None:
    """The share that people would mark, with its 95 % interval; None where the reward model cannot tell."""
    estimate = corrected_rate(sum(map(sum, errors)), sum(map(len, errors)), point)
    return None if estimate is None else asdict(estimate)


def rouge_lsum(references: Sequence[str], texts: Sequence[str]) -> list[float]:
    """ROUGE-Lsum F1 (Lin 2004) of each text, from 0 to 100, with stemming, one sentence a line."""
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeLsum"], use_stemmer=True)
    pairs = zip(references, texts, strict=True)
    return [100 * scorer.score(_lines(a), _lines(b))["rougeLsum"].fmeasure for a, b in pairs]


def _lines(text: str) -> str:
    return "\n".join(text[start:end] for start, end in segments(text, "sentence"))
