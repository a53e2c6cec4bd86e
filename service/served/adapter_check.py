"""Loading an adapter, and checking that it answers differently from the base and from other policies on every rank.

A mismatch of module names makes an engine ignore an adapter without a word; the check shows it.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

from rewards.errors import FgctlError
from service.domain.policy import ServedPolicy
from service.errors import ServiceError

logger = logging.getLogger(__name__)

SAME_LOGPROB = 1e-4
"""Two adapters whose log-probabilities differ by less than this on every token (nats) answer alike."""


class AdapterEngine(Protocol):
    """What serving policies needs of the engine."""

    async def load(self, policy: ServedPolicy) -> None:
        """Load an adapter."""

    async def unload(self, policy: ServedPolicy) -> None:
        """Unload an adapter."""

    @property
    def max_rank(self) -> int:
        """The largest rank of an adapter that it takes."""

    def why_not_loadable(self, policy: ServedPolicy) -> str | None:
        """Why it cannot take an adapter; None if it can."""

    @property
    def ranks(self) -> int:
        """How many parts of it hold adapters of their own."""

    async def probe(self, policy: ServedPolicy | None, rank: int = 0) -> list[float]:
        """Log-probabilities, in nats, of a fixed text under a policy, or under the base for None, on one rank."""


Probes = Sequence[Sequence[float]]
"""What each rank answered to the probe."""


class AdapterCheck:
    """Loads adapters and remembers what each answered to the probe."""

    def __init__(self, engine: AdapterEngine) -> None:
        self._engine = engine
        self._base: Probes = []
        self._probes: dict[str, Probes] = {}

    async def load(self, policy: ServedPolicy, others: Sequence[ServedPolicy] = ()) -> None:
        """Load an adapter that answers differently from the base and from the `others`, which were loaded by this.

        What is refused is not left in the engine. Raises FgctlError, and EngineGone.
        """
        try:
            await self._engine.load(policy)
            probed = await self._probe(policy)
        except ServiceError:
            raise
        except Exception as error:  # the engine raises bare Exception; other policies can still be served
            logger.exception("the engine cannot load %s from %s", policy.adapter_name, policy.path)
            await self._engine.unload(policy)
            raise FgctlError(f"The engine cannot load {policy.adapter_name}; the service's log says why.") from error
        if not self._base:
            self._base = await self._probe(None)
        probes = {"the base": self._base} | {
            f"profile {other.profile}": self._probes[other.adapter_name] for other in others
        }
        if twin := next((name for name, other in probes.items() if _same_anywhere(probed, other)), None):
            await self._engine.unload(policy)
            raise FgctlError(f"{policy.adapter_name} answers just like {twin}; train it again.")
        self._probes[policy.adapter_name] = probed

    async def _probe(self, policy: ServedPolicy | None) -> Probes:
        return await asyncio.gather(*(self._engine.probe(policy, rank) for rank in range(self._engine.ranks)))


def _same_anywhere(first: Probes, second: Probes) -> bool:
    """Whether two policies answer alike on some rank."""
    return any(same_probe(a, b) for a, b in zip(first, second, strict=True))


def same_probe(first: Sequence[float], second: Sequence[float]) -> bool:
    """Whether two probes, log-probabilities of the same tokens, came from weights that answer alike."""
    return all(abs(a - b) < SAME_LOGPROB for a, b in zip(first, second, strict=True))
