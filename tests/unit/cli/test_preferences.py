"""`fgctl preferences simulate`."""

import pytest
from typer.testing import CliRunner

from cli.main import app
from policies.preferences import simulation
from rewards.errors import FgctlError


@pytest.mark.parametrize("named", ["by the environment", "by the option"])
def test_people_are_simulated_on_a_store_behind_a_url_too(tmp_path, monkeypatch, named):
    opened = []

    def measured(store):
        opened.append(store.url)
        raise FgctlError("That is enough.")

    url = "hf://me/policies"
    monkeypatch.setenv("FGCTL_CACHE", str(tmp_path))
    monkeypatch.setenv("FGCTL_POLICIES", url if named == "by the environment" else "")
    monkeypatch.setattr(simulation, "measured", measured)
    options = [] if named == "by the environment" else ["--policies", url]
    run = CliRunner().invoke(app, ["preferences", "simulate", *options])
    assert (str(run.exception), opened) == ("That is enough.", [url])
