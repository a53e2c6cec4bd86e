"""The interface of a reward model for a further category."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from rewards.scores import ScoreRequest
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
