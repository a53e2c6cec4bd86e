"""Answers as /v1/chat/completions writes them."""

from typing import Any

from service.api.openai.common.logprobs import logprob_entries
from service.domain.answer import Completion, Piece, TokenLogprob


class ChatFormat:
    """/v1/chat/completions."""

    whole, chunk = "chat.completion", "chat.completion.chunk"

    def __init__(self, alternatives: int | None) -> None:
        """`alternatives` to each token are returned with log-probabilities; None returns none."""
        self._alternatives = alternatives
        self._begun: set[int] = set()

    def choice(self, index: int, completion: Completion) -> dict[str, Any]:
        """A whole answer."""
        message = {"role": "assistant", "content": completion.text, "refusal": None}
        logprobs = self._logprobs(completion.logprobs)
        return {"index": index, "message": message, "logprobs": logprobs, "finish_reason": completion.finish_reason}

    def piece(self, index: int, piece: Piece) -> dict[str, Any]:
        """What the answer of this index has grown by; the first one says who speaks."""
        delta = {"content": piece.text}
        if index not in self._begun:
            self._begun.add(index)
            delta = {"role": "assistant", "content": piece.text}
        logprobs = self._logprobs(piece.logprobs)
        return {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": piece.finish_reason}

    def _logprobs(self, tokens: tuple[TokenLogprob, ...]) -> dict[str, Any] | None:
        if self._alternatives is None:
            return None
        return {"content": logprob_entries(tokens, self._alternatives), "refusal": None}
