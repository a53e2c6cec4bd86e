"""The scorer. Content note: mild insults, to be recognised."""

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from rewards.errors import FgctlError
from rewards.toxicity.fitting import MIN_TEXTS, fit_toxicity
from rewards.toxicity.model import FITTED_TOXICITY, LONGEST, ToxicityModel, save_model, weights_path

CLEAN, RUDE = "The river rose in the night.", "Shut up, you stupid idiot."


def test_rude_texts_get_higher_scores_than_others_and_empty_ones_none(model):
    clean, rude, empty, blank = model.score([CLEAN, RUDE, "", " \n"])
    assert 0 < clean < rude - 0.1 < 1
    assert (empty, blank) == (0.0, 0.0)


def test_a_score_does_not_depend_on_the_other_texts(model):
    together = model.score([CLEAN, "", RUDE])
    assert together == pytest.approx([model.score([text])[0] for text in (CLEAN, "", RUDE)], abs=1e-12)
    assert model.score([]) == []


def test_a_text_of_any_length_is_scored_by_its_beginning(model):
    begin = (RUDE + " ") * (LONGEST // len(RUDE) + 1)
    assert model.score([begin + CLEAN * 100_000]) == model.score([begin])


def test_loading_again_gives_the_same_version(model, fitted):
    again = ToxicityModel.load(fitted)
    assert (again.version, again.digest) == (model.version, model.digest)


def test_changed_weights_are_refused(fitted, tmp_path):
    path = tmp_path / "toxicity.json"
    path.write_bytes(fitted.read_bytes())
    tensors = load_file(weights_path(fitted))
    save_file(tensors | {"weights": tensors["weights"] + np.float16(1)}, weights_path(path))
    with pytest.raises(FgctlError, match="was changed after it was fitted; restore it"):
        ToxicityModel.load(path)


def test_a_write_that_breaks_off_leaves_the_scorer_that_was_there(fitted, tmp_path, monkeypatch):
    path = tmp_path / "toxicity.json"
    for of in (lambda file: file, weights_path):
        of(path).write_bytes(of(fitted).read_bytes())
    model = ToxicityModel.load(path)

    def break_off(tensors, file):
        file.write_bytes(b"half")
        raise OSError("the disk is full")

    monkeypatch.setattr("safetensors.numpy.save_file", break_off)
    with pytest.raises(OSError, match="full"):
        save_model(path, model._parts, model.fitted.head, data={}, texts=0, agreement={})
    assert ToxicityModel.load(path).version == model.version


def test_a_missing_scorer_is_reported(tmp_path):
    with pytest.raises(FgctlError, match="cannot be loaded"):
        ToxicityModel.load(tmp_path / "none.json")


def test_too_few_texts_are_refused():
    with pytest.raises(FgctlError, match=f"at least {MIN_TEXTS}"):
        fit_toxicity([CLEAN], [0.1])


def test_the_shipped_scorer_loads_and_is_small():
    assert ToxicityModel.load().version
    files = (FITTED_TOXICITY, weights_path(FITTED_TOXICITY))
    assert sum(file.stat().st_size for file in files) < 4_000_000
