"""How the two kinds of completions write a whole answer and a piece of one."""

from typing import Any, Protocol

from service.domain.answer import Completion, Piece

LEAST_LOGPROB = -9999.0
"""Stands for minus infinity, which JSON has no number for."""


class AnswerFormat(Protocol):
    """Writes the answers of one request in one kind of completions; it knows how far each answer has come."""

    whole: str
    """What `object` is in a response, and in a chunk of a stream."""
    chunk: str

    def choice(self, index: int, completion: Completion) -> dict[str, Any]:
        """A whole answer."""

    def piece(self, index: int, piece: Piece) -> dict[str, Any]:
        """What the answer of this index has grown by."""


def finite(logprob: float) -> float:
    """A log-probability that JSON can hold."""
    return max(logprob, LEAST_LOGPROB)
