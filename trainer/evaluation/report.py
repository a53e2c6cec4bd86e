"""The part of a report that depends on the texts alone: rewards, judge, ROUGE, repetition, copied words."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import tanh
from statistics import fmean
from typing import Any

from rewards.categories import BUILT_IN, SEGMENT_CATEGORIES, Category
from rewards.features.words import mean_words
from rewards.models.judge import Judgement
from rewards.scorer import Scorer
from rewards.scores import ScoredResponse, ScoreRequest, weighted_reward
from rewards.segmentation import segments
from rewards.statistics.calibration import OperatingPoint, corrected_rate
from rewards.traits.copied import copied
from rewards.traits.response_traits import repetition
from trainer.evaluation.candidates import Candidate


@dataclass(frozen=True)
class Opinion:
    """The judge's opinion of some responses."""

    version: str
    """The judge's version."""
    judgements: Sequence[Judgement]


@dataclass(frozen=True)
class References:
    """The reference answers, scored like a policy's."""

    requests: list[ScoreRequest]
    scored: list[ScoredResponse]
    opinion: Opinion | None

    def figures(self, candidate: Candidate, scorer: Scorer) -> dict[str, Any]:
        """Their figures by the candidate's weights, to be read beside the candidate's."""
        texts = [request.response for request in self.requests]
        report = report_on(candidate, self.requests, self.scored, texts, scorer, self.opinion)
        return {name: report[name] for name in _OF_REFERENCES}


_OF_REFERENCES = ("length", "clean_rate", "completeness", "weighted_reward", "repetition", "copied", "judge")
"""The figures of a report that references have, too; they would have a ROUGE of 100."""


def report_on(
    candidate: Candidate,
    requests: Sequence[ScoreRequest],
    scored: Sequence[ScoredResponse],
    references: Sequence[str],
    scorer: Scorer,
    opinion: Opinion | None = None,
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
    - `copied`: means of what responses have in common with the passages (rewards.traits.copied): `share`, the share of
      their words in copied 8-grams, and `longest`, the words of the longest copied run
    - `judge`: the judge's figures (`judged`), None without a judge
    - `per_question`: the values by response, in order: `reward` by category, in its unit, before weighting; numbers of
      `segments` and `errors` for the categories with a clean rate
    """
    texts = [request.response for request in requests]
    is_error = {c: [[s.error for s in r.categories[c].segments] for r in scored] for c in scorer.categories}
    errors = {category: _share(responses) for category, responses in is_error.items()}
    completeness = [s.categories["completeness"].score or 0.0 for s in scored]
    rouge = rouge_lsum(references, texts)
    repeated = [repetition(text) for text in texts]
    copies = [copied(request.response, request.passages) for request in requests]
    weighted = [weighted_reward(s, candidate.weights.as_dict(), scorer.categories) for s in scored]
    verdict, verdicts = judged(opinion, candidate.weights.as_dict()) if opinion else (None, None)
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
        "copied": {"share": fmean(c.share for c in copies), "longest": fmean(c.longest for c in copies)},
        "weighted_reward": fmean(weighted),
        "rewards": scorer.version,
        "judge": verdict,
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
            "copied": {"share": rounded(c.share for c in copies), "longest": [c.longest for c in copies]},
            "judge": verdicts,
        },
    }


def judged(opinion: Opinion, weights: Mapping[str, float]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The judge's figures on the responses, and its values by response. Nothing is trained on the judge.

    Its `weighted_reward` is that of a policy whose segments have the error probability 1 where the judge finds an error
    and 0 elsewhere. Categories that the judge does not know do not count.
    """
    judgements = opinion.judgements
    errors = {category: [judgement.errors[category] for judgement in judgements] for category in SEGMENT_CATEGORIES}
    completeness = [judgement.completeness for judgement in judgements]
    reward = {name: [judges_reward(name, judgement) for judgement in judgements] for name in BUILT_IN}
    figures = {
        "version": opinion.version,
        "clean_rate": {category: 1 - _share(responses) for category, responses in errors.items()},
        "completeness": fmean(completeness),
        "weighted_reward": sum(weights.get(name, 0.0) * fmean(values) for name, values in reward.items()),
    }
    by_response = {
        "completeness": rounded(completeness),
        "reward": {name: rounded(values) for name, values in reward.items()},
        **_counts(errors),
    }
    return figures, by_response


def judges_reward(category: Category, judgement: Judgement) -> float:
    """The sum of a response's rewards in one category by the judge's verdicts, in the category's unit."""
    spec = BUILT_IN[category]
    if category in SEGMENT_CATEGORIES:
        return sum(spec.reward(float(error)) for error in judgement.errors[category]) / spec.unit
    return tanh(judgement.completeness / 2) / spec.unit  # 2 sigmoid(score) - 1, as CategoryScores.rewards


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
