"""Sampling a step's responses while the step before it is learned from.

Servers that sample would wait while the trainer computes. With `ppo.staleness = 1` they sample the next step's
responses meanwhile, from the policy as it is before the update. Weights correct for the update in between.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

from trainer.processes import Processes
from trainer.rollouts.sampler import Sampled

Samples = Mapping[int, list[Sampled]]
"""Each prompt's responses, by its place in the step."""


class Ahead:
    """The next step's responses, once they are sampled. Every process of a run has one, all with the same content."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ahead")
        self._sampling: Future[dict[int, list[Sampled]]] | None = None
        self._samples: Samples | None = None

    def begin(self, sample: Callable[[], dict[int, list[Sampled]]]) -> None:
        """Begin to sample this process's share of the next step, in a thread."""
        self._sampling = self._thread.submit(sample)

    def finish(self) -> None:
        """Wait for what was begun, if anything was, and exchange it with the other processes. Raises what it raised."""
        if self._sampling is not None:
            self._samples = self._processes.merge(self._sampling.result())
            self._sampling = None

    def take(self) -> Samples | None:
        """All responses to a step's prompts that were sampled ahead, once; None if none were, as at a run's start."""
        samples, self._samples = self._samples, None
        return samples

    def state(self) -> dict[int, list[tuple[list[int], list[float]]]] | None:
        """The responses as a checkpoint holds them: token ids and log-probabilities, by prompt."""
        if self._samples is None:
            return None
        return {place: [(s.token_ids, s.logprobs) for s in samples] for place, samples in self._samples.items()}

    def restore(self, state: Mapping[int, Sequence[tuple[Any, Any]]] | None) -> None:
        """Restore the state of a checkpoint, by any number of processes."""
        if state is not None:
            self._samples = {place: [Sampled(*sample) for sample in samples] for place, samples in state.items()}


def importance_weights(policy: Tensor, sampler: Tensor, cap: float) -> Tensor:
    """How much each token counts that an older policy sampled: min(p / q, cap).

    `policy` and `sampler` are float32 [B, T] log-probabilities of the same tokens in nats, log p under the policy
    before the update and log q under the one that sampled. PPO's ratio stays that to p. Truncated as in IMPALA
    (Espeholt et al. 2018, arXiv 1802.01561); p apart from q as in Hilton et al. 2021 (arXiv 2110.00641), equation 5.
    """
    return torch.exp(policy - sampler).clamp(max=cap)
