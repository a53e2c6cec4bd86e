"""Answers as /v1/completions writes them."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from service.api.openai.common.answer_format import finite
from service.domain.answer import Completion, LikelyToken, Piece, TokenLogprob


class CompletionFormat:
    """/v1/completions."""

    whole = chunk = "text_completion"

    def __init__(self, alternatives: int | None) -> None:
        """`alternatives` to each token are returned with log-probabilities; None returns none."""
        self._alternatives = alternatives
        self._offsets: Counter[int] = Counter()

    def choice(self, index: int, completion: Completion) -> dict[str, Any]:
        """A whole answer."""
        return self._written(index, completion.text, completion.logprobs, completion.finish_reason)

    def piece(self, index: int, piece: Piece) -> dict[str, Any]:
        """What the answer of this index has grown by."""
        return self._written(index, piece.text, piece.logprobs, piece.finish_reason)

    def _written(
        self, index: int, text: str, tokens: tuple[TokenLogprob, ...], finish_reason: str | None
    ) -> dict[str, Any]:
        logprobs = None
        if self._alternatives is not None:
            # By tokens, not by text: what may be the beginning of a stop text is held back.
            logprobs = _logprobs(tokens, self._alternatives, self._offsets[index])
            self._offsets[index] += sum(len(position.token.text) for position in tokens)
        return {"index": index, "text": text, "logprobs": logprobs, "finish_reason": finish_reason}


def _logprobs(tokens: Sequence[TokenLogprob], alternatives: int, offset: int) -> dict[str, Any]:
    """Log-probabilities as parallel lists. `offset` is where in the text the first token begins.

    Each token has its `alternatives` likeliest and, where it is not among them, itself.
    """
    offsets = []
    for position in tokens:
        offsets.append(offset)
        offset += len(position.token.text)
    return {
        "tokens": [_name(position.token) for position in tokens],
        "token_logprobs": [finite(position.token.logprob) for position in tokens],
        "top_logprobs": [
            {_name(token): finite(token.logprob) for token in (*position.alternatives[:alternatives], position.token)}
            for position in tokens
        ],
        "text_offset": offsets,
    }


def _name(token: LikelyToken) -> str:
    """A token's text, or as OpenAI writes a part of a character, its bytes."""
    return token.text if token.content is None else "bytes:" + "".join(f"\\x{byte:02x}" for byte in token.content)
