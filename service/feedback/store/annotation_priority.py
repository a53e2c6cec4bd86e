"""The columns of a response that order the annotation queue: uncertainty of the reward models, disagreement, lots."""

import hashlib
import json
from collections.abc import Sequence
from itertools import combinations
from typing import Any

from rewards.categories import BUILT_IN, SEGMENT_CATEGORIES
from service.domain.hash_sampling import draw
from service.feedback.records import StoredPassage


def uncertainty(scored: dict[str, Any]) -> float:
    """The mean of `4 p (1 - p)` over the segments of relevance and factuality: 1 where every p is one half.

    `scored` is in the shape of ScoredResponse.as_json.
    """
    values = [4 * p * (1 - p) for segment in _segments(scored) for p in (segment["error_probability"],)]
    return sum(values) / len(values) if values else 0.0


def disagreement(scored: dict[str, Any] | None, annotations: Sequence[Sequence[dict[str, Any]]]) -> float | None:
    """The share of segments on which two raters of a response differ, averaged over all pairs of raters.

    The reward models are one of the raters, and their segments are the units. Each of `annotations` is the list of
    errors that one annotator marked. None without scores or without an annotation.
    """
    if scored is None or not annotations:
        return None
    segments = _segments(scored)
    ratings = [[bool(segment["error"]) for segment in segments]]
    ratings += [[_marked(segment, errors) for segment in segments] for errors in annotations]
    shares = [
        sum(map(bool.__ne__, first, second)) / max(len(segments), 1) for first, second in combinations(ratings, 2)
    ]
    return sum(shares) / len(shares)


def _segments(scored: dict[str, Any]) -> list[dict[str, Any]]:
    """The scored segments of relevance and factuality, each with its category."""
    scores = scored.get("scores") or {}
    return [
        segment | {"category": category}
        for category in SEGMENT_CATEGORIES
        for segment in scores.get(category, {}).get("segments", [])
    ]


def _marked(segment: dict[str, Any], errors: Sequence[dict[str, Any]]) -> bool:
    labels = BUILT_IN[segment["category"]].labels
    return any(e["label"] in labels and e["start"] < segment["end"] and segment["start"] < e["end"] for e in errors)


def derived_columns(response_id: str, question: str, passages: Sequence[StoredPassage], text: str) -> dict[str, Any]:
    """The columns that follow from a response's content: whether it can be annotated, its keys and its lots."""
    prompt = [question, [[passage.title, passage.text] for passage in passages]]
    return {
        "annotatable": bool(question and passages and text.strip()),
        "prompt_key": _key(json.dumps(prompt)),
        "text_key": _key(text),
        "lot": draw(response_id),
        "overlap_lot": draw(f"overlap {response_id}"),
    }


def _key(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
