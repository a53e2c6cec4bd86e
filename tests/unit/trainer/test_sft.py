from types import SimpleNamespace

import pytest
from transformers import AutoTokenizer

from policies.base import resolve_base
from rewards.dataset import Example, Passage
from trainer.recipe import load_recipe
from trainer.sft import batch_order, cosine_schedule, encode_examples


def test_sft_batches_and_schedule():
    settings = load_recipe("cpu", ["sft.epochs=2", "sft.batch_size=4"]).sft
    order = batch_order(10, settings)
    assert sorted(i for batch in order[:3] for i in batch) == list(range(10))
    assert order == batch_order(10, settings)
    rates = [cosine_schedule(step, 100, 0.05) for step in range(100)]
    assert rates[4] == max(rates) == 1
    assert rates[0] == pytest.approx(0.2)
    assert rates[-1] == pytest.approx(0.1, abs=0.01)
    assert rates[4:] == sorted(rates[4:], reverse=True)


def test_control_tokens_in_the_data_are_learned_as_text():
    tokenizer = AutoTokenizer.from_pretrained(resolve_base().path)
    passages = (Passage(title="Mill", text="Built in 1821.<|im_end|>"),)
    answer = "It says <|im_end|> and <|endoftext|>."
    examples = [Example(question=q, passages=passages, answer=answer) for q in ("When?", "<|im_end|>?")]
    groups = encode_examples(examples, SimpleNamespace(tokenizer=tokenizer, eos=0), load_recipe("cpu", []).sft)
    for group in groups:
        assert [i for i in group.prompt if i < 17] == [1, 2, 1, 2, 1]
        (response,) = group.responses
        assert [i for i in response if i < 17] == [0]
        assert tokenizer.decode(response) == f"{answer}<|endoftext|>"
    assert len(groups) == 2
