"""Made-up answers and scores, as many as wanted: those of the sample feedback, with questions that differ by a number.

The same number always gives the same answer.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from rewards.dataset import SAMPLE
from rewards.segmentation import sentences, sub_sentences
from service.domain.hash_sampling import draw
from service.feedback.exchange.importing import feedback_of
from service.feedback.exchange.item import AS_WRITTEN, Item
from service.feedback.exchange.qa_feedback import read
from service.feedback.records import NewResponse, NewScores

PROFILES = ("short", "medium", "long")
"""The answers' profiles, in turn."""
REWARDS = "b6da368795af"
"""The version of the reward models that the scores are said to be of."""
CALLERS = 100
"""Keys that ask, in turn."""
_PAIR = 50
"""One of so many answers is to the question of the one before, so that there are pairs to compare."""
_THRESHOLD = 0.5


def sample_items() -> list[Item]:
    """The sample feedback."""
    return [item for item in read(SAMPLE / "feedback.json", AS_WRITTEN) if isinstance(item, Item)]


def caller(number: int) -> str:
    """Who asked for an answer, as it is kept."""
    return f"key:{number % CALLERS:08x}"


class Answers:
    """Answers and feedback by number."""

    def __init__(self) -> None:
        self._items = sample_items()
        self._templates = [response for item in self._items for response in feedback_of(item).responses]

    def served(self, number: int) -> NewResponse:
        """An answer of the service."""
        template = self._templates[number % len(self._templates)]
        asked = number - 1 if number % _PAIR == 1 else number
        question = self._templates[asked % len(self._templates)]
        return NewResponse(
            id=hashlib.sha256(str(number).encode()).hexdigest()[:32],
            text=f"{template.text} ({number})",
            question=f"{question.question} ({asked})",
            passages=question.passages,
            profile=PROFILES[number % len(PROFILES)],
            policy="643c4218b9b6",
            weights={"relevance": 0.3, "factuality": 0.5, "completeness": 0.2},
            finish_reason="stop",
            caller=caller(number),
        )

    def items(self, first: int, count: int) -> Iterator[Item]:
        """Feedback from a file: `count` items from a number on, each with four answers and six comparisons."""
        for number in range(first, first + count):
            item = self._items[number % len(self._items)]
            yield replace(item, question=f"{item.question} ({number})", where=f"item {number}")


def scores_of(answer: NewResponse) -> NewScores:
    """The scores of an answer, in the shape and size of the reward models'; probabilities are drawn by its id."""
    scores = {
        "relevance": _scores(answer.id, sub_sentences(answer.text)),
        "factuality": _scores(answer.id, sentences(answer.text)),
        "completeness": _scores(answer.id, [(0, len(answer.text))]) | {"score": round(draw(answer.id) - 0.5, 4)},
    }
    scored = {"scores": scores, "in_domain": True, "notes": []}
    return NewScores(response_id=answer.id, rewards=REWARDS, scored=scored)


def _scores(name: str, spans: Sequence[tuple[int, int]]) -> dict[str, Any]:
    drawn = [round(draw(f"{start} {end} {name}"), 4) for start, end in spans]
    return {
        "segments": [
            {"start": start, "end": end, "error_probability": probability, "error": probability >= _THRESHOLD}
            for (start, end), probability in zip(spans, drawn, strict=True)
        ]
    }
