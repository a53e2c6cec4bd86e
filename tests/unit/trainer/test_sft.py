import json
import shutil
from types import SimpleNamespace

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from policies.base import BaseModel, resolve_base
from policies.store import PolicyStore
from rewards.dataset import SAMPLE, Example, Passage, load_examples
from rewards.errors import FgctlError
from rewards.held_out import split_validation
from trainer.packing import pack
from trainer.policy_model import PolicyModel
from trainer.processes import Processes
from trainer.recipe import load_recipe
from trainer.sft import (
    SftJob,
    batch_order,
    cosine_schedule,
    encode_examples,
    train_sft,
    validation_loss,
)
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


def test_the_loss_on_questions_that_are_not_trained_on_is_measured(tiny, tmp_path):
    rows = [{"question": f"Is it {i}?", "passages": [], "answer": "Yes."} for i in range(20)]
    (tmp_path / "train.json").write_text(json.dumps(rows))
    overrides = [*BYTES, "sft.max_examples=20", "sft.validation=true", "sft.validation_steps=2"]
    job = SftJob(tiny, tmp_path / "train.json", "smoke", load_recipe("smoke", overrides), tmp_path / "run")
    manifest = train_sft(job, PolicyStore(tmp_path / "policies"))
    training, validation = split_validation(load_examples(job.data))
    assert (len(training), len(validation)) == (18, 2)
    assert manifest.episodes == len(training)
    log = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    measured = [row["step"] for row in log if "sft/validation_loss" in row]
    assert measured == sorted({*range(1, manifest.steps, 2), manifest.steps - 1})
    model = PolicyModel(tiny, load_recipe("smoke", BYTES).lora)
    groups = encode_examples(validation, model, job.recipe.sft)
    by_hand = sum(-model.evaluate(pack([group])).logprobs.sum().item() for group in groups)
    tokens = sum(len(group.responses[0]) for group in groups)
    assert validation_loss(model, groups, 64, Processes()) == pytest.approx(by_hand / tokens, rel=1e-5)


def test_a_base_that_no_parent_can_be_merged_into_stops_before_training(tiny, tmp_path):
    shutil.copytree(tiny.path, tmp_path / "pickled")
    model = AutoModelForCausalLM.from_pretrained(tiny.path)
    torch.save(model.state_dict(), tmp_path / "pickled" / "pytorch_model.bin")
    (tmp_path / "pickled" / "model.safetensors").unlink()
    base = BaseModel("pickled", tmp_path / "pickled", "0" * 64)
    recipe = load_recipe("smoke", [*BYTES, "sft.merge=true", "sft.lora.rank=8"])
    job = SftJob(base, SAMPLE / "train.json", "smoke", recipe, tmp_path / "run")
    with pytest.raises(FgctlError, match=r"has no safetensors; save .*, or train with --set sft.merge=false\."):
        train_sft(job, PolicyStore(tmp_path / "policies"))
    assert not (tmp_path / "run" / "metrics.jsonl").exists()
