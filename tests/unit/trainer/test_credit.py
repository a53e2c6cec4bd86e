import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from policies.base import resolve_base
from policies.control_tokens import decode, special_ids
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


def test_rewards_land_on_the_last_token_of_their_segment():
    text = "It opened. It closed."
    ends = [2, 9, 10, 13, 20, 21, 21]  # It| opened|.| It| closed|.|<end of text>
    placed = place_rewards(judged(text), ends, BUILT_IN)
    relevance, factuality, completeness = placed.T.tolist()
    units = {name: spec.unit for name, spec in BUILT_IN.items()}
    assert factuality == pytest.approx([0, 0, 1 / units["factuality"], 0, 0, 2 / units["factuality"], 0])
    assert relevance == [0, 0, 1, 0, 0, 2, 0]
    assert completeness == pytest.approx([0, 0, 0, 0, 0, 0, 1 / units["completeness"]])


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


def test_a_special_token_inside_a_response_moves_no_offset(tokenizer):
    text = "The mill opened in Paris town."
    the, mill, *rest = tokenizer(text, add_special_tokens=False)["input_ids"]
    for special in range(3, 17):  # which have no role, but are special as well
        ids = [the, special, mill, special, special, *rest, tokenizer.eos_token_id]
        assert decode(tokenizer, ids) == text
        assert token_ends(ids, text, tokenizer) == [3, 3, 8, 8, 8, 15, 18, 24, 29, 30, 30]
    assert token_ends([6, the], "The", tokenizer) == [0, 3]


TOKENS = st.lists(st.integers(0, 16) | st.integers(17, 49_000), max_size=40)


@given(TOKENS)
def test_the_text_up_to_the_end_of_a_token_is_that_of_the_tokens_up_to_it(tokenizer, ids):
    text = decode(tokenizer, ids)
    ends = token_ends(ids, text, tokenizer)
    assert ends == sorted(ends)
    for i, end in enumerate(ends):
        prefix = decode(tokenizer, ids[: i + 1])
        assert prefix == text[:end] or prefix.endswith("\ufffd")  # it ends inside a character


@given(TOKENS)
def test_special_tokens_anywhere_change_no_other_tokens_end(tokenizer, ids):
    special = special_ids(tokenizer)
    plain = [i for i in ids if i not in special]
    text = decode(tokenizer, ids)
    assert decode(tokenizer, plain) == text
    ends = token_ends(ids, text, tokenizer)
    assert [end for i, end in zip(ids, ends, strict=True) if i not in special] == token_ends(plain, text, tokenizer)


def test_the_bytes_of_a_character_end_where_it_does():
    """Tokenizers with byte tokens write a replacement for each byte of an incomplete character."""
    vocabulary = {token: i for i, token in enumerate(["<unk>", "a", *(f"<0x{byte:02X}>" for byte in range(256))])}
    backend = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>", byte_fallback=True))
    backend.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>")
    face = [2 + byte for byte in "😀".encode()]
    ids = [1, *face, 2 + ord("a"), 1]
    text = decode(tokenizer, ids)
    assert text == "a😀aa"
    assert token_ends(ids, text, tokenizer) == [1, 2, 2, 2, 2, 3, 4]


@given(st.lists(st.integers(0, 49_000), max_size=40), st.booleans())
def test_the_total_is_conserved_whatever_was_sampled(tokenizer, ids, ended):
    ids = ids + ([tokenizer.eos_token_id] if ended else [])
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
