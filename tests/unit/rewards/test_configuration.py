import re
from pathlib import Path

import pytest

from rewards.categories import BUILT_IN, TOXICITY, TOXICITY_SPEC
from rewards.configuration import RESERVED, load_configuration
from rewards.errors import FgctlError

POLITENESS = """
[category.politeness]
density = "sentence"
description = "every sentence is polite"
type = "http"
url = "http://127.0.0.1:9/judge"
"""


def write(path, text):
    file = path / "categories.toml"
    file.write_text(text)
    return file


def test_without_a_file_the_built_in_categories_and_toxicity_remain(monkeypatch):
    monkeypatch.delenv("FGCTL_CATEGORIES", raising=False)
    assert load_configuration().specs == BUILT_IN | {TOXICITY: TOXICITY_SPEC}
    assert load_configuration().scored() == {}


def test_the_environment_names_the_file(tmp_path, monkeypatch):
    monkeypatch.setenv("FGCTL_CATEGORIES", str(write(tmp_path, POLITENESS)))
    specs = load_configuration().specs
    assert list(specs) == [*BUILT_IN, TOXICITY, "politeness"]
    assert (specs["politeness"].density, specs["politeness"].labels) == ("sentence", ())


def test_a_category_of_that_name_replaces_the_toxicity_scorer(tmp_path):
    configuration = load_configuration(write(tmp_path, POLITENESS.replace("politeness", TOXICITY)))
    assert list(configuration.specs) == [*BUILT_IN, TOXICITY]
    assert configuration.specs[TOXICITY].description == "every sentence is polite"
    assert configuration.scored().keys() == {TOXICITY}


@pytest.mark.parametrize(
    ("changed", "to", "same"),
    [
        ("every sentence is polite", "polite throughout", True),
        ("http://127.0.0.1:9/judge", "http://127.0.0.1:9/other", False),
        ('density = "sentence"', 'density = "response"', False),
        ('type = "http"', 'type = "http"\ntimeout_seconds = 1\nretries = 0\nheaders = { X = "Y" }', True),
        ('type = "http"', 'type = "http"\nthreshold = 0.7', False),
    ],
)
def test_only_settings_that_change_scores_count_as_scored(tmp_path, changed, to, same):
    before = load_configuration(write(tmp_path, POLITENESS)).scored()
    after = load_configuration(write(tmp_path, POLITENESS.replace(changed, to))).scored()
    assert (before == after) is same


@pytest.mark.parametrize(
    ("changed", "to", "excerpt"),
    [
        ("politeness", "relevance", "relevance is a built-in category"),
        ("politeness", "kl", "the name kl is reserved"),
        ("politeness", '"Bad name"', "'Bad name' is not a name"),
        ("politeness", "päck", "TOML"),
        ("politeness", '"päck"', "'päck' is not a name"),
        ('"sentence"', '"paragraph"', "category.politeness.density: Input should be 'sub-sentence', 'sentence' or"),
        ("url =", "address =", "category.politeness.url: Field required"),
        ('type = "http"', 'type = "http"\ntimeout = 3', "category.politeness.timeout: Extra inputs"),
        ('type = "http"', 'type = "grpc"', "category.politeness: Input tag 'grpc'"),
        ('type = "http"', "", "category.politeness: Unable to extract tag"),
        ('type = "http"', 'type = "http"\nthreshold = 1.5', "category.politeness.threshold"),
        ("http://127.0.0.1:9", "http://me:secret@127.0.0.1:9", "credentials belong in an environment variable"),
        ("[category.politeness]", "[categories.politeness]", "categories: Extra inputs"),
        ('"sentence"', '"sentence', "not a TOML file"),
        (
            'type = "http"\nurl = "http://127.0.0.1:9/judge"',
            'type = "text-classification"\nmodel = "m"',
            "error_labels",
        ),
    ],
)
def test_every_mistake_is_one_sentence(tmp_path, changed, to, excerpt):
    file = write(tmp_path, POLITENESS.replace(changed, to))
    with pytest.raises(FgctlError) as error:
        load_configuration(file)
    message = str(error.value)
    assert excerpt in message
    assert str(file) in message
    assert "secret" not in message
    assert "\n" not in message
    assert message.endswith(".")


def test_the_file_must_exist(tmp_path):
    with pytest.raises(FgctlError, match="does not exist"):
        load_configuration(tmp_path / "none.toml")


def test_the_examples_of_the_guide_are_valid_together(tmp_path):
    guide = (Path(__file__).parents[3] / "docs" / "categories.md").read_text()
    examples = re.findall(r"^```toml\n(.*?)^```", guide, re.DOTALL | re.MULTILINE)
    configuration = load_configuration(write(tmp_path, "".join(examples)))
    types = {table.type for table in configuration.category.values()}
    assert types == {"text-classification", "token-classification", "http", "entry-point"}


def test_built_in_names_are_not_reserved():
    assert not RESERVED & BUILT_IN.keys()


@pytest.mark.parametrize(
    ("settings", "needs"),
    [
        ('type = "text-classification"\nmodel = "m"\nerror_labels = ["a"]', "nothing"),
        ('type = "text-classification"\nmodel = "m"\nerror_labels = ["a"]\ninput = "question-segment"', "question"),
        ('type = "text-classification"\nmodel = "m"\nerror_labels = ["a"]\ninput = "passages-segment"', "passages"),
        ('type = "token-classification"\nmodel = "m"\nerror_labels = ["a"]', "nothing"),
        ('type = "http"\nurl = "http://localhost/"', "passages"),
        ('type = "http"\nurl = "http://localhost/"\nneeds = "nothing"', "nothing"),
    ],
    ids=["segment", "question-segment", "passages-segment", "token", "http", "set"],
)
def test_a_category_needs_what_its_model_reads_unless_set(tmp_path, settings, needs):
    file = tmp_path / "categories.toml"
    file.write_text(f'[category.tone]\ndensity = "sentence"\ndescription = "a"\n{settings}\n')
    configuration = load_configuration(file)
    assert configuration.specs["tone"].needs == needs
    assert "needs" not in configuration.scored()["tone"]
