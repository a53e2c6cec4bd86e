"""A scorer that is fitted on the sample."""

import pytest

from rewards.dataset import SAMPLE
from rewards.toxicity.data import load_prompts, rated_texts
from rewards.toxicity.fitting import fit_toxicity
from rewards.toxicity.model import ToxicityModel, save_model

SAMPLE_PROMPTS = SAMPLE / "realtoxicityprompts.jsonl"


@pytest.fixture(scope="session")
def fitted(tmp_path_factory):
    """Its file."""
    path = tmp_path_factory.mktemp("toxicity") / "toxicity.json"
    parts = fit_toxicity(*rated_texts(load_prompts(SAMPLE_PROMPTS)))
    save_model(path, parts.learned, parts.head, data={}, texts=72, agreement={})
    return path


@pytest.fixture(scope="session")
def model(fitted):
    return ToxicityModel.load(fitted)
