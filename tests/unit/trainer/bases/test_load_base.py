import json
import shutil

import pytest
import torch
import transformers as t
from safetensors.torch import load_file, save_file

from policies.base import BaseModel
from rewards.errors import FgctlError
from trainer.bases.load_base import load_model
from trainer.policy_model import PolicyModel
from trainer.recipe import LoraRecipe


@pytest.fixture
def copy(tiny, tmp_path):
    """The tiny base in a directory of its own, to be damaged."""
    shutil.copytree(tiny.path, tmp_path / "copy")
    return BaseModel("mine", tmp_path / "copy", "0" * 64)


def without_weights(path):
    (path / "model.safetensors").unlink()


def with_cut_weights(path):
    file = path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def without_a_tensor(path):
    weights = load_file(path / "model.safetensors")
    del weights["model.layers.1.self_attn.q_proj.weight"]
    save_file(weights, path / "model.safetensors", {"format": "pt"})


def with_an_unknown_type(path):
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(config | {"model_type": "from-the-future"}))


def with_a_cut_config(path):
    (path / "config.json").write_text('{"model_type": ')


def as_gemma_with_images(path):
    t.Gemma3Config().save_pretrained(path)


def as_t5(path):
    t.T5Config().save_pretrained(path)


def as_clip(path):
    t.CLIPConfig().save_pretrained(path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (without_weights, r"The weights of base model mine cannot be loaded \(Error no file named model.safetensors"),
        (with_cut_weights, r"The weights of base model mine cannot be loaded \(.*\); download it again"),
        (without_a_tensor, "Base model mine has no weights for model.layers.1.self_attn.q_proj.weight; download"),
        (with_an_unknown_type, r"The architecture of base model mine is unknown \(.*from-the-future.*\); use"),
        (with_a_cut_config, r"The architecture of base model mine is unknown \(.*config.*\); use"),
        (as_gemma_with_images, r"Base model mine \(gemma3\) reads more than text; use the text model of its family"),
        (as_t5, r"Base model mine \(t5\) is not a causal language model; use one that continues text"),
        (as_clip, r"Base model mine \(clip\) (reads more than text|is not a causal)"),
    ],
)
def test_a_base_that_cannot_be_loaded_says_what_is_missing(copy, damage, message):
    damage(copy.path)
    with pytest.raises(FgctlError, match=f"^{message}"):
        load_model(copy, torch.float32)


def test_sequences_longer_than_the_base_reads_are_refused_before_training(make_base):
    base = make_base("gpt2")
    with pytest.raises(FgctlError, match="reads at most 512 tokens, and prompt and response may have 513; lower"):
        PolicyModel(base, LoraRecipe(top_layers=1), longest=513)
    PolicyModel(base, LoraRecipe(top_layers=1), longest=512)
