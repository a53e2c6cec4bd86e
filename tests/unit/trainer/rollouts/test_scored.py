"""Rollouts that are scored while further ones are sampled."""

import threading

import pytest

from policies.weights import Weights
from rewards.dataset import SAMPLE, Example, load_examples
from rewards.scorer import Scorer
from trainer.policy_model import PolicyModel
from trainer.ppo import PpoTrainer
from trainer.recipe import load_recipe
from trainer.rollouts.sampler import Sampled
from trainer.rollouts.scored import sample_and_score
from trainer.rollouts.transformers import TransformersSampler

PLACES = [0, 2, 3, 6, 7]
EXAMPLES = [Example(question=f"Question {i}?", passages=(), answer="") for i in PLACES]


class Numbers:
    """Samples two responses to each prompt: the prompt's place and the sample's."""

    def __init__(self):
        self.calls = []

    def sample(self, places):
        self.calls.append(list(places))
        return [[Sampled([place, j], [0.0, 0.0]) for j in range(2)] for place in places]


def collect(sampler, score, chunks):
    questions = dict(zip(PLACES, EXAMPLES, strict=True))
    return sample_and_score(sampler.sample, questions, chunks, decode=str, score=score)


@pytest.mark.parametrize(
    ("chunks", "calls"), [(1, [PLACES]), (2, [PLACES[:2], PLACES[2:]]), (9, [[place] for place in PLACES])]
)
def test_every_prompt_is_sampled_at_its_place_and_scored_by_itself(chunks, calls):
    sampler, asked = Numbers(), []
    rollout = collect(sampler, lambda requests: asked.append(requests) or [r.response for r in requests], chunks)
    assert rollout.scores() == [str([i, j]) for i in PLACES for j in range(2)]
    assert {place: [sample.token_ids for sample in samples] for place, samples in rollout.samples.items()} == {
        i: [[i, j] for j in range(2)] for i in PLACES
    }
    assert sampler.calls == calls
    assert [[r.question for r in requests] for requests in asked] == [[e.question] * 2 for e in EXAMPLES]


def test_a_part_is_scored_while_the_next_is_sampled():
    scored = threading.Event()

    class Waiting(Numbers):
        def sample(self, places):
            assert 0 in places or scored.wait(10)
            return super().sample(places)

    collect(Waiting(), lambda requests: scored.set() or requests, 2).scores()


def test_what_scoring_raises_reaches_the_trainer():
    def score(requests):
        raise OSError("no judge answers")

    rollout = collect(Numbers(), score, 3)
    with pytest.raises(OSError, match="no judge answers"):
        rollout.scores()


def test_what_sampling_raises_does_too():
    class Broken(Numbers):
        def sample(self, *arguments, **options):
            raise ValueError("out of memory")

    with pytest.raises(ValueError, match="out of memory"):
        collect(Broken(), list, 2)


def test_a_step_in_parts_has_the_metrics_of_a_whole_one(small):
    scorer, examples = Scorer.load(), load_examples(SAMPLE / "train.json")

    def metrics(chunks):
        settings = ["ppo.prompts_per_step=3", "ppo.max_new_tokens=12", f"ppo.rollout_chunks={chunks}"]
        recipe = load_recipe("smoke", settings)
        same = PolicyModel(small[0], recipe.lora, small[1], 0.7)
        trainer = PpoTrainer(same, scorer, Weights.parse("1,1,1"), recipe, examples)
        metrics = trainer.step(0, TransformersSampler(same))
        return {k: v for k, v in metrics.items() if not k.startswith(("seconds/", "episodes"))}

    whole = metrics(1)
    assert whole["policy/grad_norm"] > 0
    # Batches of other sizes round differently: a millionth of a nat between sampler and trainer.
    assert metrics(3) == pytest.approx(whole, abs=1e-5)
