"""Who sends a request, and what they may do."""

from dataclasses import dataclass
from typing import Literal, get_args

Scope = Literal["generate", "feedback", "score", "admin", "metrics"]
SCOPES: tuple[Scope, ...] = get_args(Scope)


@dataclass(frozen=True)
class Limits:
    """What one caller may use; None is no limit."""

    concurrency: int | None = None
    """Completions waiting or being written at once."""
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    """Prompt tokens and those a request may generate; unused tokens are given back at its end."""

    def or_else(self, other: "Limits") -> "Limits":
        """These limits; where one is None, the other's."""
        return Limits(
            other.concurrency if self.concurrency is None else self.concurrency,
            other.requests_per_minute if self.requests_per_minute is None else self.requests_per_minute,
            other.tokens_per_minute if self.tokens_per_minute is None else self.tokens_per_minute,
        )


NO_LIMITS = Limits()


@dataclass(frozen=True)
class Caller:
    """The API key that a request was sent with, or without keys the client's address."""

    id: str = "anonymous"
    """The key's id, or the client's address; never the key itself."""
    scopes: frozenset[Scope] = frozenset()
    learns: bool = False
    """Whether its thumbs and comparisons move the weights that answer it."""
    limits: Limits = NO_LIMITS
    """The key's own limits; the service's defaults apply where one is None."""


ANONYMOUS = Caller()


def kept_caller(caller_id: str) -> str | None:
    """The caller as the feedback store keeps it: a key's id, or None instead of an address."""
    return caller_id if caller_id.startswith("key:") else None
