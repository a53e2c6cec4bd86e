"""The service with an engine of fixed speed in place of vLLM, so that whatever comes later is the layer's own doing.

Run as a program it serves on the loopback port that its one argument names.
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
"""Streams that nobody has to wait for."""
PACE = 0.05
"""Seconds from a token to the next."""
TEXT = (
    "The bridge was opened in 1932 after eight years of work. It carries rail, cars and walkers across the harbour, "
    "and it was the widest of its kind until 2012. Most of the steel came from England; the rest was made nearby. "
    "A toll is charged in one direction only, which pays for its upkeep."
)
"""What it writes, a word a token, over and over: sentences, so that scoring has something to judge."""
_WORDS = tuple(f" {word}" for word in TEXT.split())


class FixedEngine(Engine):
    """Writes as many tokens as a request asks for, one every PACE seconds from FIRST seconds on."""

    def start(self) -> None:
        """Nothing has to be loaded."""

    async def load(self, policy: ServedPolicy) -> None:
        """Every adapter is resident."""

    async def probe(self, policy: ServedPolicy | None) -> list[float]:
        """Every policy answers by its own number."""
        return [-float(policy.adapter_id if policy else 0)]

    async def generate(
        self, prompt: Sequence[int], params: "SamplingParams", policy: ServedPolicy | None, request_id: str
    ) -> AsyncGenerator[Piece, None]:
        """Each token at its time, however late the one before it was taken."""
        loop = asyncio.get_running_loop()
        due = loop.time() + FIRST
        tokens = params.max_tokens or 1
        for number in range(1, tokens + 1):
            await asyncio.sleep(due - loop.time())
            yield Piece(_WORDS[(number - 1) % len(_WORDS)], 1, "length" if number == tokens else None)
            due += PACE

    @property
    def alive(self) -> bool:
        """It does not die."""
        return True

    async def unload(self, policy: ServedPolicy) -> None:
        """Every adapter stays."""

    async def break_off(self) -> None:
        """Every answer is written to its end."""

    def stop(self) -> None:
        """There is nothing to end."""


def own_seconds(tokens: int) -> tuple[float, float]:
    """What the engine itself takes to its first and to its last token."""
    return FIRST, FIRST + (tokens - 1) * PACE


if __name__ == "__main__":
    run(
        Settings(max_num_seqs=MAX_STREAMS),
        "127.0.0.1",
        int(sys.argv[1]),
        load=partial(load_core, make_engine=FixedEngine),
    )
