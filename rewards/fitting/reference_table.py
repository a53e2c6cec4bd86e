"""Labels that need no annotation: what reference answers and corrected responses say about other answers.

Annotators only ever saw a policy's answers, so nothing in their marks says that a copied sentence may be beside the
question, or that people word supported facts in their own way. References say both:

- every segment of a reference or corrected response is relevant and supported;
- a copied segment is irrelevant if the reference and the corrected response share hardly any of its content words, and
  relevant if they share most;
- a segment that only repeats the question is irrelevant, though it is like every relevant one;
- of two answers, the one that covers more of the reference's content is more complete.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from rewards.dataset import FeedbackExample
from rewards.features.extractor import RESPONSE_FEATURES, SEGMENT_FEATURES, Extractor, ResponseFeatures
from rewards.features.words import content_words
from rewards.fitting.extracts import FIRST, NEAREST, make_extracts
from rewards.fitting.labelled import Pairs, Segments, join_segments, select_segments
from rewards.fitting.segment_labels import covered_content
from rewards.scores import ScoreRequest

Matrix = NDArray[np.float64]

IRRELEVANT_BELOW = 0.25
"""A copied segment is irrelevant if at most this share of its content words is in the reference or the correction."""
RELEVANT_FROM = 0.6
"""It is relevant from this share on; in between it has no label."""
REFERENCE = "reference answer"
CORRECTED = "corrected response"
PADDED = "pad with the question's words"
_COMPARED = (REFERENCE, FIRST, NEAREST)
"""The answers whose covered content is compared."""
_MARGIN = 0.05
"""Answers whose covered content differs by less are no pair."""


@dataclass(frozen=True)
class ReferenceTable:
    """Segments and pairs labelled by references, for Q rows of feedback."""

    relevance: Segments
    factuality: Segments
    responses: Matrix
    """float64 [P, RESPONSE_FEATURES]"""
    completeness: Pairs
    """Indices into `responses`."""


_NO_SEGMENTS = join_segments([])
_NO_INDICES = np.zeros(0, dtype=np.int64)
NO_REFERENCES = ReferenceTable(
    _NO_SEGMENTS, _NO_SEGMENTS, np.zeros((0, len(RESPONSE_FEATURES))), Pairs(_NO_INDICES, _NO_INDICES, _NO_INDICES)
)


def tabulate_references(examples: Sequence[FeedbackExample], extractor: Extractor) -> ReferenceTable:
    """Label what can be labelled of each row that has a reference answer, a corrected response and passages."""
    questions = [ScoreRequest(e.question, e.passages, "") for e in examples if _usable(e)]
    if not questions:
        return NO_REFERENCES
    extracts = iter(make_extracts(questions, extractor.encoder))
    answers = [_answers(e, next(extracts)) if _usable(e) else {} for e in examples]
    features = iter(
        extractor.extract(
            [
                ScoreRequest(e.question, e.passages, text)
                for e, named in zip(examples, answers, strict=True)
                for text in named.values()
            ]
        )
    )
    read = [{name: next(features) for name in named} for named in answers]
    relevance = [_relevance(e, named, own) for e, named, own in zip(examples, answers, read, strict=True)]
    factuality = [_without_errors([own[name].factuality for name in (REFERENCE, CORRECTED) if own]) for own in read]
    pairs = [
        (q, answer, other)
        for q, (e, named) in enumerate(zip(examples, answers, strict=True))
        for answer, other in _ordered(e.gold, {name: named[name] for name in _COMPARED if name in named})
    ]
    compared = [read[q][name].response for q, *both in pairs for name in both]
    order = np.arange(2 * len(pairs)).reshape(-1, 2)
    return ReferenceTable(
        join_segments(relevance),
        join_segments(factuality),
        np.stack(compared) if compared else np.zeros((0, len(RESPONSE_FEATURES))),
        Pairs(order[:, 0], order[:, 1], np.array([q for q, *_ in pairs], dtype=np.int64)),
    )


def pad_with_question(question: str, answer: str) -> str:
    """The answer, and twice the question as a statement."""
    statement = question.rstrip("?")
    return f"{answer} {statement}. {statement}."


def _answers(example: FeedbackExample, extracts: Mapping[str, str]) -> dict[str, str]:
    corrected = example.corrected.strip()
    padded = pad_with_question(example.question, corrected)
    return {REFERENCE: example.gold.strip(), CORRECTED: corrected, **extracts, PADDED: padded}


def _usable(example: FeedbackExample) -> bool:
    return bool(example.gold.strip() and example.corrected.strip() and any(p.text.strip() for p in example.passages))


def _ordered(reference: str, answers: Mapping[str, str]) -> list[tuple[str, str]]:
    """Names of two answers, the one that covers more of the reference's content first; close ones are no pair."""
    covered = {name: covered_content(reference, text) for name, text in answers.items()}
    pairs = [(a, b) if covered[a] > covered[b] else (b, a) for a, b in combinations(answers, 2)]
    return [(a, b) for a, b in pairs if covered[a] - covered[b] > _MARGIN]


def _without_errors(parts: Sequence[Matrix]) -> tuple[Matrix, NDArray[np.bool_], NDArray[np.bool_]]:
    x = np.concatenate([np.zeros((0, len(SEGMENT_FEATURES))), *parts])
    return x, np.zeros(len(x), dtype=bool), np.zeros(len(x), dtype=bool)


def _relevance(
    example: FeedbackExample, answers: Mapping[str, str], features: Mapping[str, ResponseFeatures]
) -> tuple[Matrix, NDArray[np.bool_], NDArray[np.bool_]]:
    """Features and labels of the row's sub-sentences: reference, correction, extracts, and what pads the correction."""
    wanted = content_words(example.gold) | content_words(example.corrected)
    x, labels = [np.zeros((0, len(SEGMENT_FEATURES)))], []
    for name, own in features.items():
        for (a, b), row in zip(own.sub_sentences, own.relevance, strict=True):
            if name == PADDED:
                label = True if a >= len(answers[CORRECTED]) else None
            else:
                label = _irrelevant(answers[name][a:b], wanted, name in (REFERENCE, CORRECTED))
            if label is not None:
                x.append(row[None])
                labels.append(label)
    return np.concatenate(x), np.array(labels, dtype=bool), np.zeros(len(labels), dtype=bool)


def _irrelevant(segment: str, wanted: set[str], by_people: bool) -> bool | None:
    """Whether a segment is irrelevant, by the share of its content words that is wanted; None if that does not say."""
    if by_people:
        return False
    words = content_words(segment)
    share = len(words & wanted) / len(words) if words else 0.0
    return None if IRRELEVANT_BELOW < share < RELEVANT_FROM else share <= IRRELEVANT_BELOW


def select_references(table: ReferenceTable, rows: NDArray[np.int64]) -> ReferenceTable:
    """What the references of some rows say. All responses are kept, since only pairs refer to them."""
    chosen = np.isin(table.completeness.question, rows)
    pairs = table.completeness
    return ReferenceTable(
        select_segments(table.relevance, rows),
        select_segments(table.factuality, rows),
        table.responses,
        Pairs(pairs.better[chosen], pairs.worse[chosen], np.searchsorted(rows, pairs.question[chosen])),
    )
