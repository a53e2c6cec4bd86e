"""`fgctl keys` as a user runs it."""

import json

import pytest
from typer.testing import CliRunner

from cli.main import app
from rewards.errors import FgctlError
from service.edge.keys import Keyring

run = CliRunner()


@pytest.fixture
def file(tmp_path, monkeypatch):
    path = tmp_path / "keys.toml"
    monkeypatch.setenv("FGCTL_KEYS", str(path))
    return path


def invoke(*arguments):
    result = run.invoke(app, ["keys", *arguments])
    if isinstance(result.exception, FgctlError):
        return 1, result.stdout, str(result.exception)
    assert result.exception is None, result.exception
    return result.exit_code, result.stdout, result.stderr


def test_a_key_is_shown_once_and_works_until_it_is_revoked(file):
    code, secret, remark = invoke("add", "answers app", "--scope", "generate", "--scope", "admin", "--concurrency", "4")
    assert code == 0
    assert "cannot be shown again" in remark
    caller = Keyring(file).caller(secret.strip())
    assert (caller.scopes, caller.limits.concurrency) == ({"generate", "admin"}, 4)
    code, listed, _ = invoke("list")
    assert "answers app" in listed
    assert "generate, admin" in listed
    assert secret.strip() not in listed
    (entry,) = json.loads(invoke("list", "--json")[1])
    assert (entry["name"], entry["concurrency"], "sha256" in entry) == ("answers app", 4, False)
    assert invoke("revoke", entry["id"])[0] == 0
    assert Keyring(file).caller(secret.strip()) is None


def test_json_has_the_key_and_its_file(file):
    added = json.loads(invoke("add", "app", "--json")[1])
    assert Keyring(file).caller(added["key"]).id == f"key:{added['id']}"
    assert added["file"] == str(file)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("add", "app", "--scope", "everything"), "choose from generate, feedback, score, admin, metrics"),
        (("add", " "), "who uses the key"),
        (("list",), "fgctl keys add"),
        (("revoke", "abc"), "fgctl keys add"),
    ],
)
def test_mistakes_are_answered_with_a_sentence(file, arguments, part):
    code, _, message = invoke(*arguments)
    assert code == 1
    assert part in message
    assert not file.exists()


def test_without_a_key_file_the_message_names_the_option(monkeypatch):
    monkeypatch.delenv("FGCTL_KEYS", raising=False)
    code, _, message = invoke("list")
    assert code == 1
    assert "--keys FILE" in message
