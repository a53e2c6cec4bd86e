"""What is known about the current HTTP request: for its log line, its trace, and what it must release at its end.

A context variable holds it, so every log line can name its request and no function has to pass it on.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from service.domain.judged import TraceLink
from service.telemetry.span import NO_SPAN, Span


@dataclass
class RequestContext:
    """One HTTP request, from its first byte to the end of its response."""

    id: str
    """As returned in X-Request-Id."""
    caller: str | None = None
    profile: str | None = None
    policy: str | None = None
    """The version of the policy that answers."""
    outcome: str | None = None
    """How the generation ended, as in `fg_requests_total`."""
    queue_seconds: float = 0.0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompts: list[str] = field(default_factory=list)
    """Only with FGCTL_LOG_PROMPTS."""
    headers: dict[str, str] = field(default_factory=dict)
    """Headers of the response, also where it reports a failure."""
    span: Span = NO_SPAN
    caller_link: TraceLink | None = None
    """The trace that its `traceparent` header names."""
    at_end: ExitStack = field(default_factory=ExitStack)
    """Closed when the response has ended or the client has disconnected, whatever happened before."""


_current: ContextVar[RequestContext | None] = ContextVar("request", default=None)


def current() -> RequestContext | None:
    """The current request; None outside of requests, as in the command line."""
    return _current.get()


@contextmanager
def entered(context: RequestContext) -> Iterator[None]:
    """Make `context` the current request in this task and the tasks it starts."""
    token = _current.set(context)
    try:
        yield
    finally:
        _current.reset(token)
