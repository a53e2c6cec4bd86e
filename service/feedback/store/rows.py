"""Rows as records."""

from typing import Any

from service.feedback.records import (
    AnnotatorInfo,
    NewResponse,
    StoredAnnotation,
    StoredComparison,
    StoredQuick,
    StoredResponse,
)
from service.feedback.store import tables as models


def recorded_of(row: models.Response) -> NewResponse:
    """What was recorded of a response."""
    return NewResponse.model_validate(_fields(row, NewResponse))


def response_of(row: models.Response, score: models.Score | None) -> StoredResponse:
    """A response with its latest judgement."""
    judged = {} if score is None else {"scored": score.json, "rewards": score.rewards, "labels": score.labels}
    return StoredResponse.model_validate(_fields(row, NewResponse) | {"created": row.created} | judged)


def annotation_of(row: models.Annotation, annotator: str) -> StoredAnnotation:
    """An annotation; `annotator` is the person's name."""
    fields = _fields(row, StoredAnnotation, "annotator")
    return StoredAnnotation.model_validate(fields | {"annotator": annotator})


def quick_of(row: models.QuickFeedback) -> StoredQuick:
    """Quick feedback."""
    return StoredQuick.model_validate(_fields(row, StoredQuick))


def comparison_of(row: models.Comparison, annotator: str) -> StoredComparison:
    """A comparison; `annotator` is the person's name."""
    fields = _fields(row, StoredComparison, "annotator")
    return StoredComparison.model_validate(fields | {"annotator": annotator})


def annotator_of(row: models.Annotator) -> AnnotatorInfo:
    """A person who annotates."""
    return AnnotatorInfo.model_validate(_fields(row, AnnotatorInfo))


def _fields(row: Any, kind: Any, *but: str) -> dict[str, Any]:
    return {name: getattr(row, name) for name in kind.model_fields if name not in but}
