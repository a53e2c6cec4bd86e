"""Rollouts that are scored while further ones are sampled."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from rewards.dataset import Example
from rewards.scores import ScoredResponse, ScoreRequest
from trainer.packing import split
from trainer.recipe import PpoRecipe
from trainer.rollouts.sampler import Sampled, Sampler

Decode = Callable[[Sequence[int]], str]
Score = Callable[[Sequence[ScoreRequest]], list[ScoredResponse]]


@dataclass(frozen=True)
class Rollout:
    """Responses to a step's prompts, some of which may still be being scored."""

    samples: dict[int, list[Sampled]]
    """Each prompt's, by its place in the step, in order."""
    scoring: list[Future[list[ScoredResponse]]]
    """The scores of each prompt's responses."""

    def scores(self) -> list[ScoredResponse]:
        """The scores of all responses; waits for those that are missing. Raises whatever scoring raised."""
        return [scored for one in self.scoring for scored in one.result()]


def sample_and_score(
    sampler: Sampler,
    prompts: Mapping[int, tuple[Sequence[int], Example]],
    ppo: PpoRecipe,
    seed: int,
    *,
    decode: Decode,
    score: Score,
) -> Rollout:
    """Sample responses to the prompts in `ppo.rollout_chunks` parts, and score each part beside the next ones.

    `prompts` are token ids and the question they were made of, with the passages to judge by, by their place in the
    step. `score` runs in a thread of its own, for one prompt's responses at a time: what it says of them then depends
    on them alone, however the step is cut up. Raises what sampling raises; what scoring raises, Rollout.scores does.
    """
    samples: dict[int, list[Sampled]] = {}
    scoring: list[Future[list[ScoredResponse]]] = []
    thread = ThreadPoolExecutor(1, thread_name_prefix="score")
    try:
        for part in split(list(prompts), ppo.rollout_chunks):
            ids = [prompts[place][0] for place in part]
            sampled = sampler.sample(ids, ppo.samples_per_prompt, ppo.max_new_tokens, seed, places=part)
            for place, responses in zip(part, sampled, strict=True):
                samples[place] = responses
                example = prompts[place][1]
                asked = [ScoreRequest(example.question, example.passages, decode(r.token_ids)) for r in responses]
                scoring.append(thread.submit(score, asked))
    finally:
        thread.shutdown(wait=False)
    return Rollout(samples, scoring)
