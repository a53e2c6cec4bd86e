"""Fitting the heads on human feedback, and the tables that fitting and evaluation share."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rewards.dataset import FeedbackExample, question_key
from rewards.errors import FgctlError
from rewards.features.extractor import RESPONSE_FEATURES, RESPONSE_GROUPS, SEGMENT_FEATURES, SEGMENT_GROUPS, Extractor
from rewards.fitting.recipe import FitRecipe
from rewards.fitting.segment_labels import coverage_pairs, error_labels, preference_pairs
from rewards.heads.linear import Heads, LinearHead, fit_bradley_terry, fit_logistic, sigmoid
from rewards.scores import ScoreRequest
from rewards.statistics.calibration import margin_slope, operating_point, platt

Matrix = NDArray[np.float64]
FOLDS = 5


@dataclass(frozen=True)
class Segments:
    """All segments of one category: N rows."""

    x: Matrix
    """float64 [N, SEGMENT_FEATURES]"""
    y: NDArray[np.bool_]
    """bool [N]: marked as an error of the category."""
    question: NDArray[np.int64]
    """int64 [N]: the feedback row each belongs to."""
    only_relevance: NDArray[np.bool_]
    """bool [N]: overlaps relevance spans and no factuality span; the paper leaves such sentences out."""


@dataclass(frozen=True)
class Pairs:
    """Pairs of responses, P rows, as indices into FeedbackTable.responses."""

    better: NDArray[np.int64]
    worse: NDArray[np.int64]
    question: NDArray[np.int64]


@dataclass(frozen=True)
class FeedbackTable:
    """Feedback of Q rows as features and labels. Several people's feedback on one question is as many rows."""

    keys: list[str]
    """The question's key, of each row."""
    relevance: Segments
    factuality: Segments
    responses: Matrix
    """float64 [4 Q, RESPONSE_FEATURES]: the predictions, question by question."""
    words: NDArray[np.int64]
    """int64 [4 Q]: their lengths in words."""
    missing: NDArray[np.bool_]
    """bool [Q]: information is missing from prediction 1."""
    coverage: Pairs
    preference: Pairs

    @property
    def groups(self) -> NDArray[np.int64]:
        """int64 [Q]: which rows are of the same question (grouped)."""
        return grouped(self.keys)


def grouped(keys: Sequence[str]) -> NDArray[np.int64]:
    """int64 [Q]: rows with the same of Q keys have the same number, the first such row's."""
    first: dict[str, int] = {}
    return np.array([first.setdefault(key, row) for row, key in enumerate(keys)], dtype=np.int64)


def tabulate(examples: Sequence[FeedbackExample], extractor: Extractor) -> FeedbackTable:
    """Features and labels of the feedback."""
    requests = [ScoreRequest(e.question, e.passages, p) for e in examples for p in e.predictions]
    features = extractor.extract(requests)
    first = features[::4]
    relevance, factuality = [], []
    for e, f in zip(examples, first, strict=True):
        relevant = error_labels(e, f.sub_sentences, "relevance")
        factual = error_labels(e, f.sentences, "factuality")
        relevance.append((f.relevance, relevant, np.zeros_like(relevant)))
        factuality.append((f.factuality, factual, error_labels(e, f.sentences, "relevance") & ~factual))
    return FeedbackTable(
        keys=[question_key(e.question) for e in examples],
        relevance=_segments(relevance),
        factuality=_segments(factuality),
        responses=np.stack([f.response for f in features]) if features else np.zeros((0, len(RESPONSE_FEATURES))),
        words=np.array([len(r.response.split()) for r in requests], dtype=np.int64),
        missing=np.array([bool(e.missing) for e in examples], dtype=bool),
        coverage=_pairs(map(coverage_pairs, examples)),
        preference=_pairs(map(preference_pairs, examples)),
    )


def fit_heads(table: FeedbackTable, questions: NDArray[np.int64], recipe: FitRecipe) -> Heads:
    """Fit every head on some of the table's questions, calibration and thresholds included.

    Both are chosen on the predictions of heads fitted without the fold they judge, over all segments. Raises
    FgctlError when there are too few annotations to fit.
    """
    parts = [(_fit(table, rest, recipe), fold) for rest, fold in folds(questions, groups=table.groups)]
    heads = _fit(table, questions, recipe)
    updated = {name: _calibrated(getattr(heads, name), table, parts, name) for name in ("relevance", "factuality")}
    logits = np.concatenate([h.missing.logits(table.responses[4 * fold]) for h, fold in parts])
    labels = np.concatenate([table.missing[fold] for _, fold in parts])
    updated["missing"] = recalibrate(heads.missing, logits, labels)
    for name, pairs in (("completeness", table.coverage), ("preference", table.preference)):
        margins = []
        for part, fold in parts:
            judged = _select_pairs(pairs, fold)
            scores = getattr(part, name).logits(table.responses)
            margins.append(scores[judged.better] - scores[judged.worse])
        updated[name] = getattr(heads, name).scaled(margin_slope(np.concatenate(margins)))
    return heads.model_copy(update=updated)


def _calibrated(
    head: LinearHead, table: FeedbackTable, parts: list[tuple[Heads, NDArray[np.int64]]], name: str
) -> LinearHead:
    segments: Segments = getattr(table, name)
    logits, labels = [], []
    for part, fold in parts:
        chosen = np.isin(segments.question, fold)
        logits.append(getattr(part, name).logits(segments.x[chosen]))
        labels.append(segments.y[chosen])
    return recalibrate(head, np.concatenate(logits), np.concatenate(labels))


def recalibrate(head: LinearHead, logits: Matrix, labels: NDArray[np.bool_]) -> LinearHead:
    """Platt scaling on out-of-fold logits [N], then the operating point on them."""
    slope, shift = platt(logits, labels)
    point = operating_point(sigmoid(slope * logits + shift), labels)
    return head.scaled(slope, shift).model_copy(update={"operating": point})


def folds(
    questions: NDArray[np.int64], count: int = FOLDS, groups: NDArray[np.int64] | None = None
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Split rows into (rest, fold) pairs, at random with a fixed seed, whole questions together.

    `groups` says by row of the table which rows are of the same question (`grouped`); all differ by default.
    """
    group = questions if groups is None else groups[questions]
    _, first = np.unique(group, return_index=True)
    shuffled = np.random.default_rng(0).permutation(group[np.sort(first)])
    parts = np.array_split(shuffled, min(count, len(shuffled)))
    own = [np.isin(group, part) for part in parts]
    return [(np.sort(questions[~fold]), np.sort(questions[fold])) for fold in own]


def _fit(table: FeedbackTable, questions: NDArray[np.int64], recipe: FitRecipe) -> Heads:
    heads: dict[str, LinearHead] = {}
    # Relevance-only sentences blur what a factual error looks like; calibration brings their base rate back in.
    unlike = np.where(table.factuality.only_relevance, recipe.relevance_only_weight, 1.0)
    for name, weight in (("relevance", np.ones(len(table.relevance.y))), ("factuality", unlike)):
        segments, how = getattr(table, name), getattr(recipe, name)
        chosen = np.isin(segments.question, questions) & (weight > 0)
        _require(chosen.sum())
        heads[name] = fit_logistic(
            segments.x[chosen], segments.y[chosen], SEGMENT_FEATURES, how.strength, how.used(SEGMENT_GROUPS),
            weight[chosen],
        )  # fmt: skip
    firsts, how = table.responses[4 * questions], recipe.missing
    heads["missing"] = fit_logistic(
        firsts, table.missing[questions], RESPONSE_FEATURES, how.strength, how.used(RESPONSE_GROUPS)
    )
    for name, pairs in (("completeness", table.coverage), ("preference", table.preference)):
        people, how = _select_pairs(pairs, questions), getattr(recipe, name)
        _require(len(people.better))
        heads[name] = fit_bradley_terry(
            table.responses, people.better, people.worse, RESPONSE_FEATURES, how.strength, how.used(RESPONSE_GROUPS)
        )
    return Heads(**heads)


def _require(count: int) -> None:
    if count == 0:
        raise FgctlError("Too little feedback to fit every reward model; annotate more answers.")


def _select_pairs(pairs: Pairs, questions: NDArray[np.int64]) -> Pairs:
    chosen = np.isin(pairs.question, questions)
    return Pairs(pairs.better[chosen], pairs.worse[chosen], pairs.question[chosen])


def _segments(parts: list[tuple[Matrix, NDArray[np.bool_], NDArray[np.bool_]]]) -> Segments:
    return Segments(
        x=np.concatenate([x for x, _, _ in parts]) if parts else np.zeros((0, len(SEGMENT_FEATURES))),
        y=np.concatenate([y for _, y, _ in parts]) if parts else np.zeros(0, dtype=bool),
        question=np.repeat(np.arange(len(parts)), [len(y) for _, y, _ in parts]),
        only_relevance=np.concatenate([o for _, _, o in parts]) if parts else np.zeros(0, dtype=bool),
    )


def _pairs(per_question: Iterable[list[tuple[int, int]]]) -> Pairs:
    rows = [(4 * q + a, 4 * q + b, q) for q, pairs in enumerate(per_question) for a, b in pairs]
    columns = np.array(rows, dtype=np.int64).reshape(-1, 3)
    return Pairs(columns[:, 0], columns[:, 1], columns[:, 2])
