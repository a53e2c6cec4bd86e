"""The benchmark of scoring: what its contenders do and the arithmetic of its report, without a clock."""

import json
from itertools import chain, pairwise

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from rewards.dataset import Passage
from rewards.errors import FgctlError
from rewards.scores import ScoreRequest
from trainer.bench.rewards import (
    BATCH,
    CONTENDERS,
    GOALS,
    Response,
    extract_apart,
    forward,
    prepare,
    report,
    score_in_calls,
    time_rounds,
)

REQUEST = ScoreRequest("Where is it?", (Passage(title="T", text="By the sea. It rains."),), "It is wet. It rains.")
TWO = [Response(REQUEST, (1, 2, 3), (4, 5)), Response(REQUEST, (1, 2), (3, 4, 5))]


class _Recorder:
    """A scorer or an extractor that remembers what it was asked."""

    def __init__(self):
        self.asked = []

    def score(self, requests):
        self.asked.append(requests)

    def extract(self, requests):
        self.asked.append(requests)


def _scripted(durations):
    """A clock that is read before and after each turn, whose turns last as said."""
    for start, end in pairwise(np.cumsum([0, *durations]).tolist()):
        yield from (start, end)


def test_contenders_take_turns_and_ratios_are_quotients_of_medians():
    turns = []
    passes = {name: lambda batch, name=name: turns.append((name, len(batch))) for name in CONTENDERS}
    durations = [[1, 2, 4, 3], [1, 2, 8, 6], [4, 2, 10, 3]]  # seconds for both responses, by round and contender
    clock = _scripted(chain.from_iterable(durations))
    seconds = time_rounds(passes, TWO, 3, lambda: next(clock))
    assert turns == [(name, 2) for name in CONTENDERS] * 3
    measured = report(seconds, dict.fromkeys(CONTENDERS, 3 * 2**20))

    assert measured.keys() == {"contenders", "ratios"}
    assert measured["contenders"].keys() == CONTENDERS.keys()
    assert measured["contenders"]["scorer_batched"] == {
        "seconds_per_response": {"median": 0.5, "min": 0.5, "max": 2.0},
        "responses_per_second": {"median": 2.0, "min": 0.5, "max": 2.0},
        "peak_memory_mib": 3.0,
    }
    assert [(r["of"], r["to"], r["goal"]) for r in measured["ratios"]] == list(GOALS)
    assert [r["ratio"] for r in measured["ratios"]] == pytest.approx([1 / 8, 2 / 8, 1 / 3])
    assert [r["min"] for r in measured["ratios"]] == pytest.approx([1 / 8, 2 / 10, 1 / 6])
    assert [r["max"] for r in measured["ratios"]] == pytest.approx([4 / 10, 2 / 4, 4 / 3])
    json.dumps(measured)


def test_a_round_gives_every_batch_to_every_contender():
    turns = []
    passes = {name: lambda batch, name=name: turns.append((name, len(batch))) for name in "ab"}
    clock = _scripted([8, 16, 1, 2])
    seconds = time_rounds(passes, TWO[:1] * (BATCH + 1), 1, lambda: next(clock))
    assert turns == [("a", BATCH), ("b", BATCH), ("a", 1), ("b", 1)]
    assert seconds == {"a": [pytest.approx(1)], "b": [pytest.approx(2)]}


def test_the_scorer_is_asked_for_all_at_once_or_one_by_one():
    batched, single = _Recorder(), _Recorder()
    score_in_calls(batched, BATCH, TWO)
    score_in_calls(single, 1, TWO)
    assert batched.asked == [[REQUEST, REQUEST]]
    assert single.asked == [[REQUEST], [REQUEST]]


def test_each_of_three_models_reads_everything():
    extractors = [_Recorder() for _ in range(3)]
    extract_apart(extractors, TWO)
    assert all(extractor.asked == [[REQUEST, REQUEST]] for extractor in extractors)


def test_the_base_model_predicts_the_response_alone():
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=16, **sizes)).eval()
    logits = forward(model, TWO)
    assert [tuple(part.shape) for part in logits] == [(1, 2, 16), (1, 3, 16)]
    with torch.inference_mode():
        whole = model(input_ids=torch.tensor([[1, 2, 3, 4, 5]])).logits
    torch.testing.assert_close(logits[0], whole[:, 2:4])
    torch.testing.assert_close(logits[1], whole[:, 1:4])


def test_feedback_without_responses_is_an_error():
    class Tokenizer:
        chat_template = None

        def get_vocab(self):
            return {"a": 0}

    with pytest.raises(FgctlError, match="no responses to score"):
        prepare([], 2, Tokenizer())
