"""The event that a completion has finished, which the answering pipeline announces."""

import time
from dataclasses import dataclass, field

from rewards.scores import ScoreRequest
from service.domain.answer import Answer, Completion, completion_id
from service.domain.judged import TraceLink
from service.domain.request import Turn
from service.domain.scored import CanaryTrial


@dataclass(frozen=True)
class FinishedCompletion:
    """A completion that is returned to its caller."""

    answer: Answer
    completion: Completion
    request: ScoreRequest
    """What it is scored on: the question, the passages as the policy saw them, and the completion's text."""
    caller_id: str
    trial: CanaryTrial | None = None
    """None where no canary runs, and where the request named the version."""
    trace: TraceLink | None = None
    """The trace of the HTTP request; None where it is part of none."""
    turns: tuple[Turn, ...] | None = None
    """The conversation that it answers, for a later request to go on from; None where that is not kept."""
    at: float = field(default_factory=time.monotonic)
    """When it finished, by the monotonic clock."""

    @property
    def id(self) -> str:
        """Its id at GET /responses/{id}."""
        return completion_id(self.answer.id, self.completion.index)

    @property
    def profile(self) -> str:
        """The profile that answered."""
        return self.answer.policy.profile

    @property
    def version_label(self) -> str:
        """The policy's version as the value of a metric's label."""
        return self.answer.policy.version_label
