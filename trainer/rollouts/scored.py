"""Scoring responses while further ones are sampled."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from rewards.dataset import Example
from rewards.scores import ScoredResponse, ScoreRequest
from trainer.packing import split
from trainer.rollouts.sampler import Sampled

Decode = Callable[[Sequence[int]], str]
Sample = Callable[[list[int]], list[list[Sampled]]]
"""The responses to the prompts at these places in the step."""
Score = Callable[[Sequence[ScoreRequest]], list[ScoredResponse]]


@dataclass(frozen=True)
class Rollout:
    """Responses to a step's prompts, whose scores may not be complete yet."""

    samples: dict[int, list[Sampled]]
    """Each prompt's responses, by its place in the step, in order."""
    scoring: list[Future[list[ScoredResponse]]]
    """The scores of each prompt's responses."""

    def scores(self) -> list[ScoredResponse]:
        """The scores of all responses; waits for missing ones. Raises what scoring raised."""
        return [scored for future in self.scoring for scored in future.result()]


def sample_and_score(
    sample: Sample,
    questions: Mapping[int, Example],
    parts: int,
    *,
    decode: Decode,
    score: Score,
) -> Rollout:
    """Sample responses to the questions in so many parts, and score each part while the next is sampled.

    `questions`, with the passages to score by, are by their place in the step. `score` runs in a thread of its own, for
    one question's responses at a time, so the scores do not depend on how the step is divided. Raises what sampling
    raises; Rollout.scores raises what scoring raises.
    """
    samples: dict[int, list[Sampled]] = {}
    scoring: list[Future[list[ScoredResponse]]] = []
    thread = ThreadPoolExecutor(1, thread_name_prefix="score")
    try:
        for part in split(list(questions), parts):
            for place, responses in zip(part, sample(part), strict=True):
                samples[place] = responses
                example = questions[place]
                requests = [ScoreRequest(example.question, example.passages, decode(r.token_ids)) for r in responses]
                scoring.append(thread.submit(score, requests))
    finally:
        thread.shutdown(wait=False)
    return Rollout(samples, scoring)
