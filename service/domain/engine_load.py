"""How busy the engine is, and which adapters it holds."""

from collections.abc import Mapping
from dataclasses import dataclass

from service.domain.policy import ServedPolicy


@dataclass(frozen=True)
class RankLoad:
    """The load of one data-parallel rank after a step."""

    running: int
    """Requests in its batch."""
    waiting: int
    """Requests in its own queue."""
    cache_used: float
    """Share of its key-value cache that is used, 0 to 1."""
    waiting_adapters: tuple[str, ...] = ()
    """Names of the adapters that requests in its queue need."""


@dataclass(frozen=True)
class EngineLoad:
    """The load of all ranks."""

    base: str
    """Name of the base model."""
    ranks: Mapping[int, RankLoad]
    """By number; ranks without any step yet are missing."""
    held: tuple[ServedPolicy, ...]
    """The adapters that every rank holds."""
    most_held: int
    """How many it may hold."""
