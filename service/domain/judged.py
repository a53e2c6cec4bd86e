"""What reward models judge: an answer of this service, or one that another system gave and sent to POST /score."""

import re
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from rewards.scores import ScoreRequest

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})")


class TraceLink(NamedTuple):
    """Where an answer is in a distributed trace, in W3C's hexadecimal form."""

    trace_id: str
    """32 digits."""
    span_id: str | None = None
    """16 digits: the span of the generation; None where only the trace is known."""
    sampled: bool = True
    """Whether the trace is recorded at all."""

    @classmethod
    def of_header(cls, traceparent: str) -> "TraceLink | None":
        """Where a W3C `traceparent` header says that its sender is; None for one that is not valid."""
        match = _TRACEPARENT.fullmatch(traceparent)
        if match is None or not int(match["trace"], 16) or not int(match["span"], 16):
            return None
        return cls(match["trace"], match["span"], bool(int(match["flags"], 16) & 1))


class Judged(Protocol):
    """What metrics, sinks and traces read of an answer."""

    @property
    def id(self) -> str:
        """Names the answer: at GET /responses/{id}, if this service gave it."""

    @property
    def profile(self) -> str:
        """The value of metrics' label `profile`."""

    @property
    def version_label(self) -> str:
        """The value of metrics' label `policy`."""

    @property
    def request(self) -> ScoreRequest:
        """The question, the passages, and the answer's text."""

    @property
    def trace(self) -> TraceLink | None:
        """The trace that it is part of; None where there is none."""


@dataclass(frozen=True)
class ExternalAnswer:
    """An answer that another system gave."""

    id: str
    profile: str
    version_label: str
    request: ScoreRequest
    trace: TraceLink | None = None
