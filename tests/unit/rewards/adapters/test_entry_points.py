from importlib import metadata

import pytest

from rewards.adapters import load_model
from rewards.configuration import EntryPoint
from rewards.errors import FgctlError
from rewards.scores import ScoreRequest


class Brevity:
    """Judges a segment by its length."""

    def __init__(self, limit=10):
        self.limit = limit

    def score(self, requests, segments):
        return [[min(1.0, (end - start) / self.limit) for start, end in spans] for spans in segments]


class NoModel:
    pass


@pytest.fixture
def declared(monkeypatch):
    """Entry points of a package that is not installed."""
    points = [
        metadata.EntryPoint(name, value, "fgctl.reward_models")
        for name, value in (
            ("brevity", "plugin:Brevity"),
            ("no_model", "plugin:NoModel"),
            ("gone", "plugin:Gone"),
            ("no_package", "no_such_package:Brevity"),
        )
    ]
    plugin = type("plugin", (), {"Brevity": Brevity, "NoModel": NoModel})
    monkeypatch.setitem(__import__("sys").modules, "plugin", plugin)
    monkeypatch.setattr(metadata, "entry_points", lambda group: [p for p in points if p.group == group])


def load(name, **options):
    config = EntryPoint.model_validate(
        {"type": "entry-point", "density": "sentence", "description": "d", "name": name, "options": options}
    )
    return load_model("brevity", config)


def test_an_entry_point_is_called_with_its_options(declared):
    request = ScoreRequest("?", (), "Short. And longer.")
    assert load("brevity").score([request], [[(0, 6), (7, 18)]]) == [[0.6, 1.0]]
    assert load("brevity", limit=24).score([request], [[(0, 6)]]) == [[0.25]]


@pytest.mark.parametrize(
    ("name", "options", "excerpt"),
    [
        ("brevet", {}, "no installed package declares 'brevet'"),
        ("brevet", {}, "(declared: brevity, gone, no_model, no_package)"),
        ("gone", {}, "'plugin:Gone' cannot be imported"),
        ("no_package", {}, "'no_such_package:Brevity' cannot be imported"),
        ("no_model", {}, "returns no RewardModel"),
        ("brevity", {"limits": 3}, "does not accept these options: got an unexpected keyword argument 'limits'"),
    ],
)
def test_an_error_says_why_an_entry_point_cannot_be_used(declared, name, options, excerpt):
    with pytest.raises(FgctlError) as error:
        load(name, **options)
    assert excerpt in str(error.value)
    assert str(error.value).startswith("Category brevity: ")
    assert str(error.value).endswith(".")
