import socket

import pytest

from rewards.errors import FgctlError
from service import run as module
from service.app import create_app
from service.domain.caller import Limits
from service.edge.keys import KeyFile
from service.run import run
from service.settings import Settings


class Started(Exception):
    """It would serve now."""

    this_machine_only = None


@pytest.fixture(autouse=True)
def only_the_checks(monkeypatch):
    def create_app(*arguments, **others):
        started = Started()
        started.this_machine_only = others["this_machine_only"]
        raise started

    monkeypatch.setattr(module, "create_app", create_app)
    monkeypatch.setattr(module.logs, "configure", lambda settings: None)


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104
def test_it_is_open_to_other_machines_only_with_keys_or_when_that_is_meant(host, tmp_path):
    if host == "::" and not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    with pytest.raises(FgctlError, match="fgctl keys add NAME") as caught:
        run(Settings(), host, 0)
    assert "--open" in str(caught.value)
    with pytest.raises(Started):
        run(Settings(open=True), host, 0)
    file = KeyFile(tmp_path / "keys.toml")
    file.add("app", ["generate"], Limits())
    with pytest.raises(Started):
        run(Settings(keys=file.path), host, 0)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.3.4.5"])
def test_this_machine_alone_needs_no_keys(host):
    with pytest.raises(Started):
        run(Settings(), host, 0)


@pytest.mark.parametrize(
    ("opened", "keyed", "checked"), [(False, False, True), (True, False, False), (False, True, False)]
)
def test_the_host_of_requests_is_checked_where_only_this_machine_can_connect_and_no_key_is_asked_for(
    tmp_path, opened, keyed, checked
):
    file = KeyFile(tmp_path / "keys.toml")
    file.add("app", ["generate"], Limits())
    with pytest.raises(Started) as caught:
        run(Settings(open=opened, keys=file.path if keyed else None), "127.0.0.1", 0)
    assert caught.value.this_machine_only is checked


@pytest.mark.parametrize(("settings", "seconds"), [({}, 75), ({"keep_alive_timeout": 20}, 20)])
def test_idle_connections_stay_open_as_long_as_the_setting_says(monkeypatch, settings, seconds):
    configs = []

    class Server:
        def __init__(self, config, drain):
            configs.append(config)
            raise Started

    monkeypatch.setattr(module, "create_app", create_app)
    monkeypatch.setattr(module, "_Server", Server)
    with pytest.raises(Started):
        run(Settings(**settings), "127.0.0.1", 0)
    assert configs[0].timeout_keep_alive == seconds
