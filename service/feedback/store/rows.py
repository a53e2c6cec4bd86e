"""Table rows as records."""

from typing import Any

from service.feedback.records import (
    AnnotatorInfo,
    NewResponse,
    StoredAnnotation,
    StoredComparison,
    StoredQuick,
    StoredResponse,
)
from service.feedback.store import tables


def recorded_of(row: tables.Response) -> NewResponse:
    """A response as it was recorded."""
    return NewResponse.model_validate(_fields(row, NewResponse))


def response_of(row: tables.Response, score: tables.Score | None) -> StoredResponse:
    """A response with its latest scores."""
    scores = {} if score is None else {"scored": score.json, "rewards": score.rewards, "labels": score.labels}
    return StoredResponse.model_validate(_fields(row, NewResponse) | {"created": row.created} | scores)


def annotation_of(row: tables.Annotation, annotator: str) -> StoredAnnotation:
    """An annotation; `annotator` is the person's name."""
    fields = _fields(row, StoredAnnotation, "annotator")
    return StoredAnnotation.model_validate(fields | {"annotator": annotator})


def quick_of(row: tables.QuickFeedback) -> StoredQuick:
    """Quick feedback."""
    return StoredQuick.model_validate(_fields(row, StoredQuick))


def comparison_of(row: tables.Comparison, annotator: str) -> StoredComparison:
    """A comparison; `annotator` is the person's name."""
    fields = _fields(row, StoredComparison, "annotator")
    return StoredComparison.model_validate(fields | {"annotator": annotator})


def annotator_of(row: tables.Annotator) -> AnnotatorInfo:
    """A person who annotates."""
    return AnnotatorInfo.model_validate(_fields(row, AnnotatorInfo))


def _fields(row: Any, kind: Any, *except_for: str) -> dict[str, Any]:
    return {name: getattr(row, name) for name in kind.model_fields if name not in except_for}
