"""What a team implements to add a category of its own."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from rewards.scores import ScoreRequest
from rewards.segmentation import Span


@runtime_checkable
class RewardModel(Protocol):
    """Judges the segments of one category.

    Segments, thresholds and rewards are the scorer's business: a reward model only gives probabilities. One that is
    kept for evaluation has an attribute `purpose = "judge"`, and training on it is refused.
    """

    def score(self, requests: Sequence[ScoreRequest], segments: Sequence[Sequence[Span]]) -> list[list[float]]:
        """The probability of an error of the category in each segment.

        `segments[i]` are the pieces of `requests[i].response`, cut at the category's density: (start, end) in code
        points, end exclusive, in order, at least one. Returns one list for each request with one probability in
        [0, 1] for each of its segments. The same arguments must give the same probabilities, or a resumed training
        run differs from an uninterrupted one. Raises FgctlError for what the user can put right.
        """
