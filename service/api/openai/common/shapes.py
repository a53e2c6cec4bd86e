"""What tells the two kinds of completions apart: how a whole answer and a piece of one are written down."""

from collections import Counter
from typing import Any, Protocol

from service.api.openai.common import logprobs
from service.domain.request import Choice
from service.engine.engine import Piece, TokenLogprob


class Shape(Protocol):
    """One kind of completions. Of one request: it knows how far each of its answers has come."""

    whole: str
    """What `object` is in a response, and in a chunk of a stream."""
    chunk: str

    def choice(self, index: int, choice: Choice) -> dict[str, Any]:
        """A whole answer."""

    def piece(self, index: int, piece: Piece) -> dict[str, Any]:
        """What the answer of this index has grown by."""


class CompletionShape:
    """/v1/completions."""

    whole = chunk = "text_completion"

    def __init__(self, alternatives: int | None) -> None:
        """`alternatives` to each token are returned with log-probabilities; None returns none."""
        self._alternatives = alternatives
        self._offsets: Counter[int] = Counter()

    def choice(self, index: int, choice: Choice) -> dict[str, Any]:
        """A whole answer."""
        return self._written(index, choice.text, choice.logprobs, choice.finish_reason)

    def piece(self, index: int, piece: Piece) -> dict[str, Any]:
        """What the answer of this index has grown by."""
        return self._written(index, piece.text, piece.logprobs, piece.finish_reason)

    def _written(
        self, index: int, text: str, tokens: tuple[TokenLogprob, ...], finish_reason: str | None
    ) -> dict[str, Any]:
        written = None
        if self._alternatives is not None:
            # By tokens, not by text: what may be the beginning of a stop text is held back.
            written = logprobs.of_completion(tokens, self._alternatives, self._offsets[index])
            self._offsets[index] += sum(len(token.text) for token in tokens)
        return {"index": index, "text": text, "logprobs": written, "finish_reason": finish_reason}


class ChatShape:
    """/v1/chat/completions."""

    whole, chunk = "chat.completion", "chat.completion.chunk"

    def __init__(self, alternatives: int | None) -> None:
        """`alternatives` to each token are returned with log-probabilities; None returns none."""
        self._alternatives = alternatives
        self._begun: set[int] = set()

    def choice(self, index: int, choice: Choice) -> dict[str, Any]:
        """A whole answer."""
        message = {"role": "assistant", "content": choice.text, "refusal": None}
        written = self._logprobs(choice.logprobs)
        return {"index": index, "message": message, "logprobs": written, "finish_reason": choice.finish_reason}

    def piece(self, index: int, piece: Piece) -> dict[str, Any]:
        """What the answer of this index has grown by; the first one says who speaks."""
        delta = {"content": piece.text}
        if index not in self._begun:
            self._begun.add(index)
            delta = {"role": "assistant", "content": piece.text}
        written = self._logprobs(piece.logprobs)
        return {"index": index, "delta": delta, "logprobs": written, "finish_reason": piece.finish_reason}

    def _logprobs(self, tokens: tuple[TokenLogprob, ...]) -> dict[str, Any] | None:
        return None if self._alternatives is None else logprobs.of_chat(tokens, self._alternatives)
