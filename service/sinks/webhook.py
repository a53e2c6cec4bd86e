"""Any receiver: every scored answer as a POST request, signed as https://www.standardwebhooks.com describes."""

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Callable

import httpx

from rewards.errors import FgctlError
from service.sinks.delivery import Message
from service.sinks.event import ScoredEvent

TYPE = "response.scored"
"""The event's type, which tells it from those that may come."""
_PREFIX = "whsec_"
_SHORTEST = 24
"""Bytes of a secret, as the specification asks for."""


class Webhook:
    """One receiver. Its headers `webhook-id`, `webhook-timestamp` and `webhook-signature` say who sent what when."""

    name = "webhook"

    def __init__(self, url: str, secret: str, *, content: bool, clock: Callable[[], float] = time.time) -> None:
        """`secret` is as `decoded` describes; `clock` gives Unix time. Raises FgctlError for an invalid secret."""
        self._url = url
        self._secret = decoded(secret)
        self._content = content
        self._clock = clock

    def message(self, event: ScoredEvent) -> Message:
        """The event with its type and time."""
        body = {"type": TYPE, "timestamp": event.at.isoformat(), "data": event.as_json(self._content)}
        return Message(self._url, json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"))

    def headers(self, event: ScoredEvent, message: Message) -> dict[str, str]:
        """The signature covers the id, the time of this attempt and the body."""
        seconds, message_id = int(self._clock()), message_id_of(event)
        return {
            "webhook-id": message_id,
            "webhook-timestamp": str(seconds),
            "webhook-signature": signature(self._secret, message_id, seconds, message.body),
        }

    def refusal(self, reply: httpx.Response) -> str | None:
        """A receiver that replies by 2xx has taken it."""
        return None


def message_id_of(event: ScoredEvent) -> str:
    """The same for each attempt; without full stops, which separate what is signed."""
    return "msg_" + hashlib.sha256(event.id.encode("utf-8", "replace")).hexdigest()[:32]


def signature(secret: bytes, message_id: str, seconds: int, body: bytes) -> str:
    """`v1,` and the HMAC-SHA256 of `id.timestamp.body` in base64."""
    signed = hmac.new(secret, f"{message_id}.{seconds}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(signed).decode()}"


def decoded(secret: str) -> bytes:
    """A secret's bytes. Raises FgctlError unless it is `whsec_` and the base64 of at least 24 bytes."""
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(_PREFIX) or len(key) < _SHORTEST:
        raise FgctlError(
            f"FGCTL_WEBHOOK_SECRET must be whsec_ and the base64 of at least {_SHORTEST} random bytes; make one by "
            f'`echo "whsec_$(openssl rand -base64 32)"`.'
        )
    return key
