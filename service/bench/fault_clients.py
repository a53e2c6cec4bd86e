"""Clients that keep asking while a service is damaged, and what became of each of their requests."""

import asyncio
import json
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx

HUNG_SECONDS = 150.0
"""A request without an answer for so long counts as hung."""
_PAUSE = 0.5
"""Seconds from a refusal to a client's next request."""
_PASSAGE = {"title": "Windmill of Thole", "text": "It was moved to Thole in 1821. The miller is Ada Holm."}
_QUESTION = {"question": "Who grinds the rye in Thole?", "passages": [_PASSAGE], "max_tokens": 24}
OUTCOMES = ("answered", "refused", "lost", "hung")
"""Refused: an error with a reason. Lost: the connection ended without an answer or a reason."""


@dataclass
class Observed:
    """What clients have seen of a service."""

    outcomes: Counter[str] = field(default_factory=Counter)
    """Of OUTCOMES."""
    reasons: Counter[str] = field(default_factory=Counter)
    """Messages of the refusals."""
    readiness: list[tuple[float, bool]] = field(default_factory=list)
    """When /readyz was asked, by the monotonic clock, and whether it answered 200."""

    @property
    def ready(self) -> bool:
        """Whether /readyz answered 200 when it was last asked."""
        return bool(self.readiness) and self.readiness[-1][1]


async def keep_asking(url: str, clients: int, observed: Observed, stop: asyncio.Event) -> None:
    """Keep `clients` requests open, half of them streams, until told to stop and every request has ended."""
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=url, timeout=None, limits=limits) as client, asyncio.TaskGroup() as tasks:  # noqa: S113
        tasks.create_task(_watch_readiness(client, observed, stop))
        for number in range(clients):
            tasks.create_task(_ask_again_and_again(client, number, observed, stop))


async def _ask_again_and_again(client: httpx.AsyncClient, number: int, observed: Observed, stop: asyncio.Event) -> None:
    while not stop.is_set():
        outcome = await _outcome(client, stream=number % 2 == 0, observed=observed)
        observed.outcomes[outcome] += 1
        if outcome != "answered":
            await asyncio.sleep(_PAUSE)


async def _outcome(client: httpx.AsyncClient, *, stream: bool, observed: Observed) -> str:
    try:
        async with asyncio.timeout(HUNG_SECONDS):
            reply = await client.post("/generate", json=_QUESTION | {"stream": stream})
    except TimeoutError:
        return "hung"
    except httpx.TransportError:
        return "lost"
    last = last_event(reply)
    if "error" in last:
        observed.reasons[last["error"]["message"]] += 1
        return "refused"
    return "answered" if "finish_reason" in last else "lost"


def last_event(reply: httpx.Response) -> dict[str, Any]:
    """The object that ends a reply, streamed or not; an empty one where it was cut off."""
    text = reply.text
    if reply.headers.get("content-type", "").startswith("text/event-stream"):
        text = text.strip().rpartition("data: ")[2]
    try:
        last: dict[str, Any] = json.loads(text)
    except ValueError:
        return {}
    return last


async def _watch_readiness(client: httpx.AsyncClient, observed: Observed, stop: asyncio.Event) -> None:
    while not stop.is_set():
        try:
            ready = (await client.get("/readyz", timeout=5)).status_code == 200
        except httpx.TransportError:
            ready = False
        observed.readiness.append((time.monotonic(), ready))
        await asyncio.sleep(0.1)
