"""The interfaces of a reward model for a further category, and of the rewards of a task."""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from rewards.categories import Category, CategorySpec
from rewards.scores import ScoredResponse, ScoreRequest
from rewards.segmentation import Span


@runtime_checkable
class RewardModel(Protocol):
    """Judges segments by one category.

    A reward model only gives probabilities; the scorer handles segmentation, thresholds and rewards. A model reserved
    for evaluation has the attribute `purpose = "judge"`, and the trainer refuses it.
    """

    def score(self, requests: Sequence[ScoreRequest], segments: Sequence[Sequence[Span]]) -> list[list[float]]:
        """The probability that each segment has an error of the category.

        `segments[i]` are the segments of `requests[i].response` at the category's density: (start, end) in code
        points, end exclusive, in order, at least one. Returns one list for each request, with one probability in
        [0, 1] for each of its segments. The same arguments must give the same probabilities; otherwise a resumed
        training run differs from an uninterrupted one. Raises FgctlError for problems that the user can fix.
        """


class ResponseScorer(Protocol):
    """What training asks of the rewards of a task: rewards.scorer.Scorer, or rewards.toxicity's."""

    @property
    def categories(self) -> Mapping[Category, CategorySpec]:
        """Every category in use, in the order of all tensors and reports."""

    @property
    def version(self) -> str:
        """12 hexadecimal digits that identify the rewards."""

    @property
    def digest(self) -> str:
        """SHA-256 of what the rewards are made of."""

    def require_rewards(self) -> None:
        """Raise FgctlError when a model in use is a judge, which must not train a policy."""

    def score(self, requests: Sequence[ScoreRequest]) -> list[ScoredResponse]:
        """Score each response by every category."""

    def holistic(self, requests: Sequence[ScoreRequest]) -> list[float]:
        """The one reward of each response that the holistic baseline earns at its end."""
