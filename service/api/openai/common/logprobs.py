"""Log-probabilities in OpenAI's two shapes: of completions and of chat completions."""

from collections.abc import Sequence
from typing import Any

from service.engine.engine import TokenLogprob

_LEAST = -9999.0
"""Stands for minus infinity, which JSON has no number for."""


def of_completion(tokens: Sequence[TokenLogprob], alternatives: int, offset: int) -> dict[str, Any]:
    """The object of /v1/completions: parallel lists. `offset` is where in the text the first token begins.

    Each token has its `alternatives` likeliest and, where it is not among them, itself.
    """
    offsets = []
    for token in tokens:
        offsets.append(offset)
        offset += len(token.text)
    return {
        "tokens": [token.text for token in tokens],
        "token_logprobs": [_finite(token.logprob) for token in tokens],
        "top_logprobs": [
            {
                text: _finite(logprob)
                for text, logprob in (*token.alternatives[:alternatives], (token.text, token.logprob))
            }
            for token in tokens
        ],
        "text_offset": offsets,
    }


def of_chat(tokens: Sequence[TokenLogprob], alternatives: int) -> dict[str, Any]:
    """The object of /v1/chat/completions: an entry for each token."""
    return {
        "content": [
            _entry(token.text, token.logprob)
            | {"top_logprobs": [_entry(*other) for other in token.alternatives[:alternatives]]}
            for token in tokens
        ],
        "refusal": None,
    }


def _entry(text: str, logprob: float) -> dict[str, Any]:
    return {"token": text, "logprob": _finite(logprob), "bytes": list(text.encode("utf-8", errors="replace"))}


def _finite(logprob: float) -> float:
    return max(logprob, _LEAST)
