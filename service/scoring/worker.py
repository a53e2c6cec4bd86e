"""The scoring process: the reward models, loaded once, at low priority, on one thread."""

import asyncio
import os
import signal
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from rewards.model import RewardModel
from rewards.scores import ScoreRequest, Scores

_model: RewardModel | None = None
_PRIORITY = 10


class ScoringWorker:
    """Runs the reward models in one other process, which is replaced when it dies or hangs."""

    def __init__(self, rewards: Path | None, timeout: float) -> None:
        """`timeout` is the seconds that a call may take."""
        self._rewards = rewards
        self._timeout = timeout
        self._pool = self._new_pool()

    async def start(self) -> None:
        """Load the reward models. Raises FgctlError when there are none to load."""
        await asyncio.get_running_loop().run_in_executor(self._pool, _warm)

    async def score(self, requests: Sequence[ScoreRequest]) -> list[Scores]:
        """Score responses. Raises TimeoutError, BrokenProcessPool, or what the models raised on a response."""
        loop = asyncio.get_running_loop()
        try:
            return await asyncio.wait_for(loop.run_in_executor(self._pool, _score, list(requests)), self._timeout)
        except TimeoutError:
            self.restart()
            raise

    def restart(self) -> None:
        """Replace the process; the next call waits for the new one."""
        self.stop()
        self._pool = self._new_pool()

    def stop(self) -> None:
        """End the process, whatever it is doing."""
        processes = list((self._pool._processes or {}).values())  # the pool has no public way to end a hung worker
        self._pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.kill()

    def _new_pool(self) -> ProcessPoolExecutor:
        # Spawned, not forked: this process has threads.
        return ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_load, initargs=(self._rewards,))


def _load(rewards: Path | None) -> None:
    global _model  # noqa: PLW0603  # one model a process is what the pool's initializer is for
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the service ends it; Ctrl-C reaches the whole process group
    os.nice(_PRIORITY)
    torch.set_num_threads(1)
    _model = RewardModel.load(rewards)


def _warm() -> None:
    _score([ScoreRequest("What is it?", (), "It is a test.")])


def _score(requests: list[ScoreRequest]) -> list[Scores]:
    if _model is None:
        raise RuntimeError("the reward models were not loaded")
    return _model.score(requests)
