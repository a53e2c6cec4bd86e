"""Decoding by transformers, on a tiny base."""

from types import SimpleNamespace

import pytest
import torch
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from trainer.rollouts import transformers as rollouts
from trainer.rollouts.transformers import TransformersSampler

PROMPTS = [[5, 6, 7], [8, 9]]


def tokens(sampled):
    return [[answer.token_ids for answer in answers] for answers in sampled]


def test_greedy_takes_the_most_likely_token_every_time(tiny_model):
    model = tiny_model()
    sampler = TransformersSampler(model)
    greedy = tokens(sampler.sample(PROMPTS, 1, 6, seed=1, temperature=0))
    again = sampler.sample(PROMPTS, 1, 6, seed=2, temperature=0)
    assert greedy == tokens(again)
    assert [answer.logprobs for (answer,) in again] == [[], []]
    for prompt, (answer,) in zip(PROMPTS, greedy, strict=True):
        for t, token in enumerate(answer):
            with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
                logits = model.peft(torch.tensor([prompt + answer[:t]])).logits[0, -1]
            assert logits[token] == logits.max()


def test_the_models_temperature_holds_unless_another_is_given(tiny_model):
    model = tiny_model()
    model.temperature = 0.01
    sampler = TransformersSampler(model)
    greedy = tokens(sampler.sample(PROMPTS, 1, 6, seed=1, temperature=0))
    assert tokens(sampler.sample(PROMPTS, 1, 6, seed=1)) == greedy
    assert tokens(sampler.sample(PROMPTS, 1, 6, seed=1, temperature=2.0)) != greedy


def test_it_follows_another_model(tiny_model):
    first, second = tiny_model(seed=1), tiny_model(seed=2)
    sampler = TransformersSampler(first)
    before = sampler.sample(PROMPTS, 1, 6, seed=1, temperature=0)
    sampler.synchronise(second)
    after = sampler.sample(PROMPTS, 1, 6, seed=1, temperature=0)
    assert after == TransformersSampler(second).sample(PROMPTS, 1, 6, seed=1, temperature=0)
    assert tokens(after) != tokens(before)


def test_a_prompt_gets_the_same_beside_other_prompts_as_alone(exact_model):
    sampler = TransformersSampler(exact_model)
    prompts = [[11, 12, 13, 14, 15], [16], [17, 18]]
    together = sampler.sample(prompts, 3, 8, seed=4)
    assert len({tuple(answer.token_ids) for answers in together for answer in answers}) > 3
    for place, prompt in enumerate(prompts):
        (alone,) = sampler.sample([prompt], 3, 8, seed=4, places=[place])
        assert tokens([alone]) == tokens([together[place]])


def test_a_prompt_is_read_once_for_all_its_responses(exact_model, monkeypatch):
    sampler = TransformersSampler(exact_model)
    sizes, forward = [], sampler._merged.forward

    def count(*args, **kwargs):
        sizes.append(tuple(kwargs["input_ids"].shape))
        return forward(*args, **kwargs)

    monkeypatch.setattr(sampler._merged, "forward", count)
    sampler.sample([[11, 12, 13, 14, 15], [16]], 3, 2, seed=4)
    assert sizes == [(2, 4), (6, 1), (6, 1)]


def test_prompts_are_sampled_in_parts_that_fit(exact_model, monkeypatch):
    sampler = TransformersSampler(exact_model)
    prompts = [[11, 12, 13, 14, 15], [16], [17, 18]]
    whole = tokens(sampler.sample(prompts, 2, 4, seed=4))
    monkeypatch.setattr(rollouts, "_CACHED_TOKENS_ELSEWHERE", 24)
    assert list(rollouts._parts([9, 5, 6], 2, "cpu")) == [[0], [2, 1]]
    assert tokens(sampler.sample(prompts, 2, 4, seed=4)) == whole


def test_tokens_are_drawn_as_often_as_they_are_likely():
    draw = rollouts._Draw(0.5, 1.0, list(range(4000)), torch.device("cpu"))
    logits = torch.log(torch.tensor([0.1, 0.2, 0.3, 0.4])) * 0.5
    drawn = draw(torch.empty(4000, 0), logits.expand(4000, 4)).argmax(-1)
    assert torch.bincount(drawn, minlength=4) / 4000 == pytest.approx(torch.tensor([0.1, 0.2, 0.3, 0.4]), abs=0.03)
    assert draw.logprobs[0].exp() == pytest.approx(torch.tensor([0.1, 0.2, 0.3, 0.4])[drawn], rel=1e-4)


def test_top_p_leaves_the_rest_out_and_is_in_the_log_probabilities():
    draw = rollouts._Draw(1.0, 0.6, list(range(200)), torch.device("cpu"))
    drawn = draw(torch.empty(200, 0), torch.log(torch.tensor([0.1, 0.2, 0.3, 0.4])).expand(200, 4)).argmax(-1)
    assert set(drawn.tolist()) == {2, 3}
    assert draw.logprobs[0].exp() == pytest.approx(torch.tensor([0.0, 0.0, 3 / 7, 4 / 7])[drawn], rel=1e-4)


@pytest.mark.parametrize("length", [1, 5])
def test_query_heads_that_share_a_key_head_attend_as_if_it_were_repeated(length):
    torch.manual_seed(0)
    query, key, value = torch.randn(2, 6, length, 8), torch.randn(2, 2, 7, 8), torch.randn(2, 2, 7, 8)
    mask = torch.rand(2, 1, length, 7) < 0.7
    mask[..., 0] = True
    module = SimpleNamespace(num_key_value_groups=3, is_causal=True)
    attended, _ = rollouts._grouped_queries(module, query, key, value, mask, scaling=0.3)
    wanted, _ = sdpa_attention_forward(module, query, key, value, mask, scaling=0.3)
    torch.testing.assert_close(attended, wanted)
