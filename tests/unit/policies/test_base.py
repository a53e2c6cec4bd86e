import json

import pytest

from policies.base import BaseModel, directory_digest, load_tokenizer, resolve_base
from rewards.errors import FgctlError


@pytest.fixture
def directory(tmp_path):
    """What a model's directory may hold, with contents that do not matter here."""
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors", "chat_template.jinja"):
        (tmp_path / name).write_text(name)
    return tmp_path


def digest(path):
    directory_digest.cache_clear()
    return directory_digest(path)


@pytest.mark.parametrize(
    "name",
    ["config.json", "tokenizer.json", "model.safetensors", "chat_template.jinja", "merges.txt", "tokenizer.model"],
)
def test_the_digest_covers_whatever_changes_prompts_or_weights(directory, name):
    before = digest(directory)
    (directory / name).write_text("changed")
    assert digest(directory) != before


@pytest.mark.parametrize(
    "name",
    [
        *("README.md", "README.txt", "LICENSE.txt", "generation_config.json", "trainer_state.json", "all_results.json"),
        *("training_args.bin", "optimizer.bin", "pytorch_model.bin", "fgctl-base.json", ".gitattributes"),
    ],
)
def test_the_digest_does_not_cover_what_changes_neither(directory, name):
    before = digest(directory)
    (directory / name).write_text("changed")
    assert digest(directory) == before


def test_pickled_weights_count_where_there_are_no_others(directory):
    (directory / "model.safetensors").unlink()
    before = digest(directory)
    (directory / "pytorch_model.bin").write_text("weights")
    assert digest(directory) != before


def test_the_default_base_keeps_the_digest_that_policies_name_it_by():
    assert resolve_base().digest == "1036fead1507f95ac5b7d2fd1d202ddc575d5546ba98cde6ffc72d625c35ade5"


def test_a_base_without_a_tokenizer_says_so(tmp_path):
    from transformers import GPT2Config, LlamaConfig

    for name, config in {"gpt": GPT2Config(), "llama": LlamaConfig()}.items():
        config.save_pretrained(tmp_path / name)
        with pytest.raises(
            FgctlError, match=rf"base model {name} .*its directory needs tokenizer.json|{name} has no tok"
        ):
            load_tokenizer(BaseModel(name, tmp_path / name, ""))


def test_a_tokenizer_that_ends_no_text_is_refused(tmp_path):
    from transformers import AutoTokenizer

    AutoTokenizer.from_pretrained(resolve_base().path).save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings | {"eos_token": None}))
    with pytest.raises(FgctlError, match="tokenizer of base model mine has no end-of-text token; name it as eos_token"):
        load_tokenizer(BaseModel("mine", tmp_path, ""))


def test_a_base_is_loaded_by_its_name_on_the_hub_or_from_its_directory(tmp_path):
    commit = tmp_path / "models--meta-llama--Llama-3.1-8B" / "snapshots" / "0123abc"
    assert BaseModel("meta-llama/Llama-3.1-8B", commit, "d").loaded_from == "meta-llama/Llama-3.1-8B"
    assert BaseModel("smollm2-135m-instruct", tmp_path, "d").loaded_from == str(tmp_path)
