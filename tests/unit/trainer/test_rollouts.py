"""Decoding by transformers, on a tiny base."""

import torch

from trainer.rollouts.transformers import TransformersSampler

PROMPTS = [[5, 6, 7], [8, 9]]


def tokens(sampled):
    return [[one.token_ids for one in answers] for answers in sampled]


def test_greedy_takes_the_most_likely_token_every_time(tiny_trunk):
    trunk = tiny_trunk()
    sampler = TransformersSampler(trunk)
    found = tokens(sampler.sample(PROMPTS, 1, 6, seed=1, temperature=0))
    assert found == tokens(sampler.sample(PROMPTS, 1, 6, seed=2, temperature=0))
    for prompt, (answer,) in zip(PROMPTS, found, strict=True):
        for t, token in enumerate(answer):
            with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
                logits = trunk.peft(torch.tensor([prompt + answer[:t]])).logits[0, -1]
            assert logits[token] == logits.max()


def test_the_trunks_temperature_holds_unless_another_is_given(tiny_trunk):
    trunk = tiny_trunk()
    trunk.temperature = 0.01
    sampler = TransformersSampler(trunk)
    greedy = tokens(sampler.sample(PROMPTS, 1, 6, seed=1, temperature=0))
    assert tokens(sampler.sample(PROMPTS, 1, 6, seed=1)) == greedy
    assert tokens(sampler.sample(PROMPTS, 1, 6, seed=1, temperature=2.0)) != greedy


def test_it_follows_another_trunk(tiny_trunk):
    first, second = tiny_trunk(seed=1), tiny_trunk(seed=2)
    sampler = TransformersSampler(first)
    before = sampler.sample(PROMPTS, 1, 6, seed=1, temperature=0)
    sampler.synchronise(second)
    after = sampler.sample(PROMPTS, 1, 6, seed=1, temperature=0)
    assert after == TransformersSampler(second).sample(PROMPTS, 1, 6, seed=1, temperature=0)
    assert tokens(after) != tokens(before)
