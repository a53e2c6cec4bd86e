import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from policies.base import resolve_base
from policies.weights import Weights
from rewards.categories import BUILT_IN, CategorySpec
from rewards.scores import CategoryScores, ScoredResponse, Segment
from rewards.segmentation import segments
from trainer.credit import at_the_end, place_rewards, segment_rewards, token_ends, weighted
from trainer.experience import make_batch
from trainer.rollouts.sampler import Sampled


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(resolve_base().path)


def judged(text, reward=lambda i: float(i + 1)):
    scores = {}
    for category, spec in BUILT_IN.items():
        spans = segments(text, spec.density)
        scores[category] = CategoryScores(
            tuple(Segment(a, b, 0.5, False) for a, b in spans), tuple(reward(i) for i in range(len(spans)))
        )
    return ScoredResponse(scores)


def decode(tokenizer, ids):
    return tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)


def test_rewards_land_on_the_last_token_of_their_segment():
    text = "It opened. It closed."
    ends = [2, 9, 10, 13, 20, 21, 21]  # It| opened|.| It| closed|.|<end of text>
    placed = place_rewards(judged(text), ends, BUILT_IN)
    relevance, factuality, completeness = placed.T.tolist()
    assert factuality == [0, 0, 1, 0, 0, 2, 0]
    assert relevance == [0, 0, 1, 0, 0, 2, 0]
    assert completeness == pytest.approx([0, 0, 0, 0, 0, 0, 1 / BUILT_IN["completeness"].unit])


def test_by_sign_errors_cost_one_and_completeness_pays_its_score():
    segments = (Segment(0, 5, 0.9, True), Segment(5, 9, 0.1, False))
    spec = CategorySpec("sentence", (), "", unit=0.5)
    assert segment_rewards(CategoryScores(segments, (-0.5, 0.8)), spec, "sign") == (-1, 1)
    assert segment_rewards(CategoryScores(segments, (-0.5, 0.8)), spec, "calibrated") == (-1, 1.6)
    assert segment_rewards(CategoryScores(segments[:1], (0.2,), score=1.7), spec, "sign") == (1.7,)
    assert segment_rewards(CategoryScores((), (), score=-3.0), spec, "sign") == ()


def test_a_response_without_tokens_or_without_text():
    assert place_rewards(judged(""), [], BUILT_IN).shape == (0, 3)
    assert not place_rewards(judged(""), [0], BUILT_IN).any()


@pytest.mark.parametrize(
    "text", ["Café 😀 opened. It is 31 metres tall, and it stands by the sea!", "日本語です。はい。", "a"]
)
def test_token_ends_are_the_offsets_of_the_text(tokenizer, text):
    ids = [*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    ends = token_ends(ids, text, tokenizer)
    assert len(ends) == len(ids)
    assert ends == sorted(ends)
    assert ends[-1] == ends[-2] == len(text)


@given(st.lists(st.integers(3, 49_000), max_size=40), st.booleans())
def test_the_total_is_conserved_whatever_was_sampled(tokenizer, ids, ended):
    special = set(tokenizer.all_special_ids)
    ids = [i for i in ids if i not in special] + ([tokenizer.eos_token_id] if ended else [])
    text = decode(tokenizer, ids)
    scores = judged(text, reward=lambda i: 0.5 - i)
    placed = place_rewards(scores, token_ends(ids, text, tokenizer), BUILT_IN)
    assert placed.shape == (len(ids), 3)
    if ids:
        for k, (category, spec) in enumerate(BUILT_IN.items()):
            total = sum(scores.categories[category].rewards) / spec.unit
            assert placed[:, k].sum().item() == pytest.approx(total, abs=1e-4)


def test_streams_are_weighted_by_category():
    streams = torch.tensor([[[1.0, 10.0, 100.0], [0.0, 0.0, 1.0]]])
    weights = Weights.parse("0.2,0.5,0.3")
    assert weighted(streams, list(BUILT_IN), weights)[0].tolist() == pytest.approx([35.2, 0.3])


def test_what_is_paid_at_the_end_lands_on_the_last_token():
    sampled = [[Sampled([4, 0], [0.0] * 2), Sampled([4, 5, 6], [0.0] * 3), Sampled([], [])]]
    batch = make_batch([[1]], sampled, 0)
    assert at_the_end(torch.tensor([1.0, 2.0, 4.0]), batch.mask).tolist() == [[0, 1, 0], [0, 0, 2], [0, 0, 0]]
    assert at_the_end(batch.truncated.float(), batch.mask).tolist() == [[0, 0, 0], [0, 0, 1], [0, 0, 0]]
