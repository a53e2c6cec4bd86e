"""Log-probabilities as chat completions and responses write them, an entry for each token."""

from collections.abc import Sequence
from typing import Any

from service.api.openai.common.answer_format import finite
from service.domain.answer import LikelyToken, TokenLogprob


def logprob_entries(tokens: Sequence[TokenLogprob], alternatives: int) -> list[dict[str, Any]]:
    """An entry for each token, with its `alternatives` likeliest."""
    return [
        _entry(position.token) | {"top_logprobs": [_entry(other) for other in position.alternatives[:alternatives]]}
        for position in tokens
    ]


def _entry(token: LikelyToken) -> dict[str, Any]:
    content = token.text.encode("utf-8", errors="replace") if token.content is None else token.content
    return {"token": token.text, "logprob": finite(token.logprob), "bytes": list(content)}
