"""Segments that people judged, with what the reward models say of them."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rewards.categories import Category
from rewards.features.words import content_words
from rewards.heads.linear import sigmoid
from rewards.heads.stored_json import write_in_one_step
from rewards.models.feedback_rewards import FeedbackRewards
from rewards.quality.support_labels import LabelledResponse
from rewards.segmentation import Span, segments

Matrix = NDArray[np.float64]
_BATCH = 16


@dataclass(frozen=True)
class JudgedSegments:
    """N segments of a category."""

    logits: Matrix
    """float64 [N]: the reward model's log-odds of an error."""
    errors: NDArray[np.bool_]
    """bool [N]: whether people mark an error."""
    answer: NDArray[np.int64]
    """int64 [N]: the number of the answer it is part of."""
    overlap: Matrix
    """float64 [N]: the share of its content words that stand in the passages, as a baseline."""

    @property
    def probabilities(self) -> Matrix:
        """float64 [N]: the reward model's probability of an error."""
        return sigmoid(self.logits)

    def of(self, chosen: NDArray[np.bool_]) -> "JudgedSegments":
        """Some of the segments."""
        return JudgedSegments(*(getattr(self, column.name)[chosen] for column in fields(self)))


def judge(
    responses: Sequence[LabelledResponse],
    rewards: FeedbackRewards,
    advance: Callable[[int], object] = lambda done: None,
) -> dict[Category, JudgedSegments]:
    """The judged segments of each category that somebody has judged. `advance` is called with the answers done."""
    columns: dict[Category, list[JudgedSegments]] = {}
    for start in range(0, len(responses), _BATCH):
        batch = responses[start : start + _BATCH]
        for number, part in enumerate(_judge_batch(batch, rewards), start):
            for category, (spans, logits) in part.items():
                judged = _segments(responses[number], number, category, spans, logits)
                if len(judged.errors):
                    columns.setdefault(category, []).append(judged)
        advance(start + len(batch))
    return {
        category: JudgedSegments(
            *(np.concatenate([getattr(part, column.name) for part in parts]) for column in fields(JudgedSegments))
        )
        for category, parts in columns.items()
    }


def _judge_batch(
    responses: Sequence[LabelledResponse], rewards: FeedbackRewards
) -> list[dict[Category, tuple[list[Span], Matrix]]]:
    """The segments and log-odds of each response by category."""
    heads = rewards.fitted.heads
    return [
        {
            "relevance": (features.sub_sentences, heads.relevance.logits(features.relevance)),
            "factuality": (features.sentences, heads.factuality.logits(features.factuality)),
            "completeness": (
                whole := segments(response.response, "response"),
                heads.missing.logits(features.response[None][: len(whole)]),
            ),
        }
        for response, features in zip(
            responses, rewards.extractor.extract([response.request for response in responses]), strict=True
        )
    ]


def _segments(
    response: LabelledResponse, number: int, category: Category, spans: Sequence[Span], logits: Matrix
) -> JudgedSegments:
    marks = response.marks(category, spans)
    words = frozenset(word for passage in response.passages for word in content_words(passage.text))
    overlap = [_overlap(content_words(response.response[start:end]), words) for start, end in spans]
    every = JudgedSegments(logits, marks >= 0.5, np.full(len(spans), number), np.array(overlap, dtype=np.float64))
    return every.of(np.isfinite(marks))


def _overlap(own: set[str], words: frozenset[str]) -> float:
    return len(own & words) / len(own) if own else 1.0


def save_segments(path: Path, segments: JudgedSegments) -> None:
    """Write segments as JSON, in one step."""
    columns = {column.name: getattr(segments, column.name).tolist() for column in fields(JudgedSegments)}
    write_in_one_step(path, json.dumps(columns))


def load_segments(path: Path) -> JudgedSegments:
    """Read what `save_segments` wrote."""
    columns = json.loads(path.read_text(encoding="utf-8"))
    return JudgedSegments(*(np.array(columns[column.name]) for column in fields(JudgedSegments)))
