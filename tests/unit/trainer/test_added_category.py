"""A category that exists by configuration alone, in what the trainer does with rewards."""

import pytest
import torch
from transformers import AutoTokenizer

from policies.base import resolve_base
from policies.control_tokens import decode
from policies.store import Decoding
from policies.weights import Weights
from rewards.categories import BUILT_IN, TOXICITY
from rewards.configuration import RESERVED
from rewards.errors import FgctlError
from rewards.scorer import Scorer
from rewards.scores import ScoreRequest
from trainer.credit import weighted
from trainer.evaluation.candidates import Candidate
from trainer.evaluation.evaluate import evaluate_policies
from trainer.evaluation.report import report_on
from trainer.experience import Evaluated, make_batch, reward_streams
from trainer.ppo_run import PpoJob, train_policy
from trainer.rollouts.sampler import Sampled
from trainer.tracking.metrics import step_metrics

RESPONSES = ["It opened. IT CLOSED.", "it is."]
WEIGHTS = "relevance=0.25,shouting=0.75"


class Texts:
    """A tokenizer, and how a model decodes by it."""

    def __init__(self):
        self.tokenizer = AutoTokenizer.from_pretrained(resolve_base().path)

    def decode(self, ids):
        return decode(self.tokenizer, ids)


@pytest.fixture
def scorer(shouting):
    return Scorer.load()


@pytest.fixture
def batch_and_streams(scorer):
    texts = Texts()
    ids = [[*texts.tokenizer(r)["input_ids"], texts.tokenizer.eos_token_id] for r in RESPONSES]
    sampled = [[Sampled(tokens, [0.0] * len(tokens)) for tokens in ids]]
    batch = make_batch([[1]], sampled, texts.tokenizer.eos_token_id)
    requests = [ScoreRequest("When?", (), response) for response in RESPONSES]
    streams = reward_streams(batch, requests, scorer.score(requests), scorer.categories, texts.tokenizer)
    return batch, streams, ids, texts


def test_it_is_a_stream_of_its_own_paid_at_the_end_of_each_sentence(batch_and_streams):
    batch, streams, ids, texts = batch_and_streams
    assert streams.categories == (*BUILT_IN, TOXICITY, "shouting")
    assert streams.rewards.shape == (*batch.mask.shape, 5)
    first = streams.rewards[0, :, 4]
    paid = [(texts.decode(ids[0][: t + 1]), first[t].item()) for t in first.nonzero()[:, 0].tolist()]
    assert paid == [("It opened.", pytest.approx(1 - 2 / 8)), ("It opened. IT CLOSED.", -1)]
    assert streams.rewards[1, :, 4].sum() == 1
    assert streams.segments[:, 4].tolist() == [2, 1]


def test_it_is_weighed_by_name_and_has_metrics(batch_and_streams):
    batch, streams, *_ = batch_and_streams
    weights = Weights.parse(WEIGHTS, streams.categories)
    task = weighted(streams.rewards, streams.categories, weights)
    assert torch.allclose(task, 0.25 * streams.rewards[..., 0] + 0.75 * streams.rewards[..., 4])
    zeros = torch.zeros(batch.mask.shape)
    metrics = step_metrics(batch, streams, task, Evaluated(zeros, zeros, zeros, zeros[..., None]), weights)
    assert metrics["shouting/response"] == pytest.approx((-0.25 + 1) / 2)
    assert metrics["shouting/segment"] == pytest.approx((-0.25 + 1) / 3)
    assert metrics["shouting/weighted"] == pytest.approx(0.75 * (-0.25 + 1) / 2)
    assert {name.partition("/")[0] for name in metrics} <= RESERVED | set(streams.categories)


def test_it_is_part_of_an_evaluation(scorer):
    requests = [ScoreRequest("When?", (), r) for r in RESPONSES]
    weights = Weights.parse("shouting=1", scorer.categories)
    report = report_on(Candidate("mine", "1", weights, None), requests, scorer.score(requests), ["", ""], scorer)
    assert report["error_ratio"].keys() == {*BUILT_IN, TOXICITY, "shouting"}
    assert report["error_ratio"]["shouting"] == pytest.approx(1 / 3)
    assert report["clean_rate"].keys() == {"relevance", "factuality", TOXICITY, "shouting"}
    assert report["weighted_reward"] == pytest.approx((-0.25 + 1) / 2)
    assert report["rewards"] == scorer.version


def test_a_judge_trains_no_policy(scorer, monkeypatch):
    model = scorer._models["shouting"]
    monkeypatch.setattr(type(model), "purpose", "judge", raising=False)
    weights = Weights.parse(WEIGHTS, scorer.categories)
    with pytest.raises(FgctlError, match="must never train"):
        train_policy(PpoJob("mine", weights, None, None, "smoke", None, None), None, scorer)


def test_weights_of_a_category_that_is_not_in_use_stop_training_and_evaluation_at_once(scorer):
    weights = Weights.parse(WEIGHTS, scorer.categories)
    weights.check(scorer.categories)
    Weights({"relevance": 1, "shouting": 0}).check(BUILT_IN)
    without = Scorer(scorer.feedback)
    job = PpoJob("mine", weights, None, None, "smoke", None, None)
    with pytest.raises(FgctlError, match="need the category shouting"):
        train_policy(job, None, without)
    with pytest.raises(FgctlError, match="need the category shouting"):
        next(evaluate_policies([Candidate("mine", "1", weights, None)], [], None, without, Decoding(), 64))
