"""The service with an engine of fixed speed instead of vLLM, so that every delay beyond it is the service's own.

Run as a program, it serves on the loopback port that its argument names.
"""

import asyncio
import sys
from collections.abc import AsyncGenerator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from service.domain.answer import Piece
from service.domain.policy import ServedPolicy
from service.engine.engine import Engine
from service.parts import load_core
from service.run import run
from service.settings import Settings

if TYPE_CHECKING:
    from vllm import SamplingParams

FIRST = 0.1
"""Seconds from a request to its first token."""
MAX_STREAMS = 256
"""Streams that the engine writes at once without any of them waiting."""
PACE = 0.05
"""Seconds between tokens."""
TEXT = (
    "The bridge was opened in 1932 after eight years of work. It carries rail, cars and walkers across the harbour, "
    "and it was the widest of its kind until 2012. Most of the steel came from England; the rest was made nearby. "
    "A toll is charged in one direction only, which pays for its upkeep."
)
"""The text it writes again and again, one word per token: sentences, so that scoring has something to judge."""
_WORDS = tuple(f" {word}" for word in TEXT.split())


class FixedSpeedEngine(Engine):
    """Writes as many tokens as a request asks for: the first after FIRST seconds, then one every PACE seconds."""

    def start(self) -> None:
        """Do nothing: there is nothing to load."""

    async def load(self, policy: ServedPolicy) -> None:
        """Do nothing: every adapter counts as resident."""

    async def probe(self, policy: ServedPolicy | None, rank: int = 0) -> list[float]:
        """One value that differs between policies."""
        return [-float(policy.adapter_id if policy else 0)]

    async def generate(
        self, prompt: Sequence[int], params: "SamplingParams", policy: ServedPolicy | None, request_id: str
    ) -> AsyncGenerator[Piece, None]:
        """Yield each token at its time, even if the one before was read late."""
        loop = asyncio.get_running_loop()
        due = loop.time() + FIRST
        tokens = params.max_tokens or 1
        for number in range(1, tokens + 1):
            await asyncio.sleep(due - loop.time())
            yield Piece(_WORDS[(number - 1) % len(_WORDS)], 1, "length" if number == tokens else None)
            due += PACE

    @property
    def alive(self) -> bool:
        """Always true."""
        return True

    async def unload(self, policy: ServedPolicy) -> None:
        """Do nothing: every adapter stays resident."""

    async def answer(self) -> None:
        """Return at once: nothing can hang."""

    async def abort_all(self) -> None:
        """Do nothing: every response is written to its end."""

    def stop(self) -> None:
        """Do nothing: there is no process to stop."""


def own_seconds(tokens: int) -> tuple[float, float]:
    """Seconds that the engine itself takes until the first and until the last token."""
    return FIRST, FIRST + (tokens - 1) * PACE


if __name__ == "__main__":
    load = partial(load_core, make_engine=FixedSpeedEngine)
    run(Settings(max_num_seqs=MAX_STREAMS), "127.0.0.1", int(sys.argv[1]), load=load)
