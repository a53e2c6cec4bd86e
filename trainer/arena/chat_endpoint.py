"""An OpenAI endpoint for chat completions, asked for one answer at a time."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ValidationError

from rewards.errors import FgctlError

KEY = "OPENAI_API_KEY"
"""The environment variable whose value, if it is set, is sent as the key."""
_TRIES = 4
_FIRST_PAUSE = 0.5
"""Seconds before the second try; the pause doubles with each further one."""
_TIMEOUT = httpx.Timeout(300.0, connect=10.0)


class _Message(BaseModel):
    content: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Reply(BaseModel):
    choices: list[_Choice]


@dataclass(frozen=True)
class Address:
    """`URL#MODEL`: an endpoint, and the model that it is asked for."""

    url: str
    model: str

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Raises FgctlError unless the text is a URL and a model."""
        url, _, model = text.partition("#")
        try:
            parts = urlsplit(url)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname and model) and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise FgctlError(
                f"{text!r} names no endpoint and model; write http://HOST/v1#MODEL, for example "
                "http://localhost:8000/v1#long."
            )
        return cls(url.rstrip("/"), model)

    def __str__(self) -> str:
        """Without a password that the URL may hold."""
        parts = urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2]
        return f"{parts.scheme}://{host}{parts.path}#{self.model}"


class ChatEndpoint:
    """Asks an endpoint, and tries again when it is busy, broken or silent."""

    def __init__(
        self, address: Address, transport: httpx.BaseTransport | None = None, pause: float = _FIRST_PAUSE
    ) -> None:
        """`transport` replaces the network in tests, and `pause` are the seconds before the second try.

        Raises FgctlError for a key that cannot be sent.
        """
        key = os.environ.get(KEY, "").strip()
        if not (key.isascii() and key.isprintable()):
            raise FgctlError(f"{KEY} holds characters that no key has; set it to the endpoint's key, or unset it.")
        headers = {"authorization": f"Bearer {key}"} if key else {}
        self._address, self._pause = address, pause
        self._client = httpx.Client(timeout=_TIMEOUT, headers=headers, transport=transport)

    def ask(
        self, messages: Sequence[dict[str, str]], *, temperature: float, seed: int, max_tokens: int, whole: bool = False
    ) -> str:
        """The text of the first choice; with `whole`, of one that was cut at `max_tokens` nothing.

        Raises FgctlError when there is none after all tries.
        """
        body = {
            "model": self._address.model, "messages": list(messages), "temperature": temperature, "seed": seed,
            "max_tokens": max_tokens,
        }  # fmt: skip
        happened = ""
        for attempt in range(_TRIES):
            if attempt:
                time.sleep(self._pause * 2 ** (attempt - 1))
            try:
                reply = self._client.post(f"{self._address.url}/chat/completions", json=body)
            except httpx.RequestError as error:
                happened = f"did not answer ({error or type(error).__name__})"
                continue
            if reply.status_code == 200:
                choice = self._choice(reply)
                return "" if whole and choice.finish_reason == "length" else choice.message.content or ""
            happened = f"answered {reply.status_code}"
            if reply.status_code != 429 and reply.status_code < 500:
                raise FgctlError(f"{self._address} {happened}; fix its URL, its model or {KEY}.")
        raise FgctlError(f"{self._address} {happened}, {_TRIES} times; start it, then run the same command again.")

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _choice(self, reply: httpx.Response) -> _Choice:
        try:
            return _Reply.model_validate_json(reply.content).choices[0]
        except (ValidationError, IndexError):
            raise FgctlError(
                f"{self._address} answered {reply.text[:60]!r}, which is no chat completion; give the URL that ends in "
                "/v1."
            ) from None
