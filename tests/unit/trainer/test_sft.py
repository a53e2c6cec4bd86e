from types import SimpleNamespace

import pytest
from transformers import AutoTokenizer

from policies.base import resolve_base
from policies.store import PolicyStore
from rewards.dataset import SAMPLE, Example, Passage
from rewards.errors import FgctlError
from trainer.recipe import load_recipe
from trainer.sft import SftJob, batch_order, cosine_schedule, encode_examples, train_sft
from trainer.tracking.checkpoint import load_checkpoint


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


BYTES = ["lora.top_layers=2", "sft.max_prompt_tokens=2000", "sft.max_response_tokens=2000"]


def test_a_base_that_is_not_finite_stops_training_and_nothing_is_stored(poisoned, tmp_path):
    store = PolicyStore(tmp_path / "policies")
    recipe = load_recipe("smoke", BYTES)
    with pytest.raises(FgctlError, match="The loss is not finite, so the run stops and stores no policy") as stopped:
        train_sft(SftJob(poisoned, SAMPLE / "train.json", "smoke", recipe, tmp_path / "run"), store)
    assert str(stopped.value).count(".") == 1
    assert not list(store.directories())
    assert load_checkpoint(tmp_path / "run") is None
