"""The scoring processes: the reward models, loaded once in each, at low priority, on one thread."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from multiprocessing import get_context
from pathlib import Path

from rewards.child_processes import end_with_parent
from rewards.errors import FgctlError
from rewards.scorer import Scorer
from rewards.scores import ScoreRequest
from rewards.traits.response_traits import response_traits
from service.domain.scored import ScoredCompletion

_PRIORITY = 10
_START_SECONDS = 600.0
"""How long the processes may take to load the reward models."""


class ScoringWorker:
    """Runs the reward models in other processes, which are replaced when one dies or hangs."""

    def __init__(
        self,
        rewards: Path | None,
        categories: Path | None,
        timeout: float,
        *,
        processes: int = 1,
        on_work: Callable[[float], object] = lambda seconds: None,
    ) -> None:
        """`rewards` and `categories` are the files Scorer.load takes; `timeout` is the seconds that a call may take.

        `on_work` is called with the seconds that each finished call kept a process busy.
        """
        self._files = (rewards, categories)
        self._timeout = timeout
        self._processes = processes
        self._on_work = on_work
        self._calls = 0
        self._idle, self._open = asyncio.Event(), asyncio.Event()
        self._idle.set()
        self._open.set()
        self._pool = self._new_pool()

    async def start(self) -> None:
        """Load the reward models. Raises FgctlError when one is missing or damaged, or takes too long."""
        await self._load(self._pool)

    async def take_over(self, version: str, then: Callable[[], object]) -> None:
        """Load the files again in new processes, and score by these once the running calls have ended.

        `then` is called between the last scores of the old processes and the first of the new ones. Calls that come
        meanwhile wait. Raises FgctlError like `start`, and when the scorer is not of the version that is expected; the
        old processes go on then.
        """
        pool = self._new_pool()
        try:
            if set(await self._load(pool)) != {version}:
                raise FgctlError("The reward models changed while they were read; write their file in one step.")
            self._open.clear()
            await self._idle.wait()
        except BaseException:
            _end(pool)
            self._open.set()
            raise
        try:
            self.stop()
            self._pool = pool
            then()
        finally:
            self._open.set()

    async def _load(self, pool: ProcessPoolExecutor) -> list[str]:
        """Load the reward models in each process. Returns their versions. Raises FgctlError."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_START_SECONDS):
                loading = (loop.run_in_executor(pool, _warm, *self._files) for _ in range(self._processes))
                return await asyncio.gather(*loading)
        except BrokenProcessPool:
            _end(pool)
            raise FgctlError(
                "A scoring process ended while it loaded the reward models; check how much memory it may use."
            ) from None
        except TimeoutError:
            _end(pool)
            raise FgctlError(
                f"The reward models did not load within {_START_SECONDS:g} s; check the disk and the machine's load."
            ) from None

    async def score(self, requests: Sequence[ScoreRequest]) -> list[ScoredCompletion]:
        """Score responses. Raises TimeoutError, BrokenProcessPool, or what the models raised on a response.

        After the first two the next call waits for new processes.
        """
        await self._open.wait()
        self._calls += 1
        self._idle.clear()
        try:
            return await self._score(requests)
        finally:
            self._calls -= 1
            if not self._calls:
                self._idle.set()

    async def _score(self, requests: Sequence[ScoreRequest]) -> list[ScoredCompletion]:
        loop, pool = asyncio.get_running_loop(), self._pool
        began = time.monotonic()
        try:
            scoring = loop.run_in_executor(pool, _score, *self._files, list(requests))
            scored, seconds = await asyncio.wait_for(scoring, self._timeout)
        except (TimeoutError, BrokenProcessPool):
            self._on_work(time.monotonic() - began)  # it was busy, without a result
            # Several calls may see the same process die; only the first replaces it.
            if self._pool is pool:
                self.stop()
                self._pool = self._new_pool()
            raise
        self._on_work(seconds)
        return scored

    def stop(self) -> None:
        """End the processes, whatever they are doing."""
        _end(self._pool)

    def _new_pool(self) -> ProcessPoolExecutor:
        # Spawned, not forked: this process has threads.
        return ProcessPoolExecutor(self._processes, mp_context=get_context("spawn"), initializer=_settle)


def _end(pool: ProcessPoolExecutor) -> None:
    processes = list((pool._processes or {}).values())  # the pool has no public way to kill a worker that hangs
    # Waiting calls are not cancelled, which would cancel their callers: they break with the process.
    pool.shutdown(wait=False)
    for process in processes:
        process.kill()


def _settle() -> None:
    end_with_parent()
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the service ends it; Ctrl-C reaches the whole process group
    os.nice(_PRIORITY)
    torch.set_num_threads(1)


@cache
def _scorer(rewards: Path | None, categories: Path | None) -> Scorer:
    """Loaded once per process, but not in the pool's initializer, whose errors would be lost."""
    return Scorer.load(rewards, categories)


def _warm(rewards: Path | None, categories: Path | None) -> str:
    """The scorer's version."""
    # Only the models in this process: an endpoint that does not answer yet must not stop the service from starting.
    request = ScoreRequest("What is it called?", (), "It is a test.")
    scorer = _scorer(rewards, categories)
    scorer.feedback.score([request])
    response_traits(request)
    return scorer.version


def _score(
    rewards: Path | None, categories: Path | None, requests: list[ScoreRequest]
) -> tuple[list[ScoredCompletion], float]:
    """The scores, and the seconds they took."""
    began = time.monotonic()
    scores = _scorer(rewards, categories).score_by_needs(requests)
    scored = [
        ScoredCompletion(response, response_traits(request)) for request, response in zip(requests, scores, strict=True)
    ]
    return scored, time.monotonic() - began
