"""OpenAI's completions as vLLM extends them: bodies of requests, and what comes back."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from service.domain.answer import LikelyToken, Piece, TokenLogprob
from service.engine.token_bytes import TokenBytes

if TYPE_CHECKING:
    from vllm import SamplingParams

_PLAIN = (
    "n", "temperature", "top_p", "max_tokens", "seed", "presence_penalty", "frequency_penalty", "repetition_penalty",
    "top_k", "min_p", "min_tokens", "ignore_eos", "include_stop_str_in_output", "skip_special_tokens", "logprobs",
)  # fmt: skip
"""Parameters that have the same name and meaning in both. All are sent: a server's own defaults may be the model's."""
END = b"[DONE]"
"""The last event of a stream."""
_DATA = b"data:"


def sampling_body(model: str, prompt: Sequence[int], params: "SamplingParams") -> dict[str, Any]:
    """The body of a streamed completion."""
    body = {name: getattr(params, name) for name in _PLAIN}
    extra = {"stop": list(params.stop or ()), "stream": True, "return_token_ids": True}
    if (form := params.structured_outputs) is not None:
        settings = {name: value for name, value in vars(form).items() if not name.startswith("_")}
        extra["structured_outputs"] = {name: value for name, value in settings.items() if value not in (None, False)}
    return {"model": model, "prompt": list(prompt)} | {k: v for k, v in body.items() if v is not None} | extra


def probe_body(model: str, prompt: Sequence[int]) -> dict[str, Any]:
    """The body of a completion that only returns the prompt's log-probabilities."""
    return {"model": model, "prompt": list(prompt), "max_tokens": 1, "temperature": 0, "prompt_logprobs": 0}


def probe_logprobs(reply: Mapping[str, Any], prompt: Sequence[int]) -> list[float]:
    """The log-probability of each token of a prompt but the first, in nats.

    Raises KeyError, IndexError, TypeError and ValueError for a reply of another form.
    """
    entries = reply["choices"][0]["prompt_logprobs"][1:]
    return [float(entry[str(token)]["logprob"]) for token, entry in zip(prompt[1:], entries, strict=True)]


def event_of(line: bytes) -> bytes | None:
    """The data in a line of a stream; None for a line without."""
    line = line.strip()
    return line[len(_DATA) :].strip() if line.startswith(_DATA) else None


def pieces_of(event: bytes, alternatives: int | None, token_bytes: TokenBytes) -> list[Piece]:
    """The pieces in an event. `alternatives` likely tokens are wanted beside each; None for no log-probabilities.

    Raises ValueError with the server's message for an event that reports an error, or is of another form.
    """
    chunk = json.loads(event)
    if not isinstance(chunk, dict):
        raise ValueError("an event that is no object; it must be a vLLM server's")
    if error := chunk.get("error"):
        raise ValueError(str(error.get("message", error) if isinstance(error, dict) else error))
    try:
        return [
            Piece(
                choice["text"],
                len(choice["token_ids"]),
                choice.get("finish_reason"),
                choice["index"],
                _logprobs(choice, alternatives, token_bytes),
            )
            for choice in chunk["choices"]
        ]
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError(f"an event without {error}; it must be a vLLM server's") from None


def _logprobs(choice: Mapping[str, Any], alternatives: int | None, token_bytes: TokenBytes) -> tuple[TokenLogprob, ...]:
    """The tokens' log-probabilities. Likely tokens come by their texts alone, so those of equal text are one."""
    entries = choice.get("logprobs")
    if alternatives is None or not entries:
        return ()
    rows = zip(choice["token_ids"], entries["tokens"], entries["token_logprobs"], entries["top_logprobs"], strict=True)
    return tuple(
        TokenLogprob(
            LikelyToken(text, logprob, token_bytes.of(token, text)),
            tuple(
                LikelyToken(likely, value, token_bytes.of(token, text) if likely == text else None)
                for likely, value in sorted((top or {}).items(), key=lambda item: -item[1])[:alternatives]
            ),
        )
        for token, text, logprob, top in rows
    )
