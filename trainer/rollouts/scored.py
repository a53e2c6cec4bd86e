"""Rollouts that are scored while further ones are sampled."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from rewards.dataset import Example
from rewards.scores import ScoredResponse, ScoreRequest
from trainer.packing import split
from trainer.recipe import PpoRecipe
from trainer.rollouts import Sampled, Sampler

Decode = Callable[[Sequence[int]], str]
Score = Callable[[Sequence[ScoreRequest]], list[ScoredResponse]]


@dataclass(frozen=True)
class Rollout:
    """A step's responses, some of which may still be being scored."""

    samples: list[list[Sampled]]
    """Of each prompt, in order."""
    requests: list[ScoreRequest]
    """The B responses as they are scored."""
    scoring: list[Future[list[ScoredResponse]]]
    """The scores of each prompt's responses."""

    def scores(self) -> list[ScoredResponse]:
        """The scores of the B responses; waits for those that are missing. Raises whatever scoring raised."""
        return [scored for one in self.scoring for scored in one.result()]


def sample_and_score(
    sampler: Sampler,
    prompts: Sequence[Sequence[int]],
    examples: Sequence[Example],
    ppo: PpoRecipe,
    seed: int,
    *,
    decode: Decode,
    score: Score,
) -> Rollout:
    """Sample responses to the prompts in `ppo.rollout_chunks` parts, and score each part beside the next ones.

    `examples` are the prompts' questions, with the passages to judge by. `score` runs in a thread of its own, for one
    prompt's responses at a time: what it says of them then depends on them alone, however the step is cut up. Raises
    what sampling raises; what scoring raises, Rollout.scores does.
    """
    samples: list[list[Sampled]] = []
    requests: list[ScoreRequest] = []
    scoring: list[Future[list[ScoredResponse]]] = []
    thread = ThreadPoolExecutor(1, thread_name_prefix="score")
    try:
        for part in split(range(len(prompts)), ppo.rollout_chunks):
            sampled = sampler.sample(
                [prompts[i] for i in part], ppo.samples_per_prompt, ppo.max_new_tokens, seed, first=part[0]
            )
            samples += sampled
            for i, responses in zip(part, sampled, strict=True):
                asked = [
                    ScoreRequest(examples[i].question, examples[i].passages, decode(response.token_ids))
                    for response in responses
                ]
                requests += asked
                scoring.append(thread.submit(score, asked))
    finally:
        thread.shutdown(wait=False)
    return Rollout(samples, requests, scoring)
