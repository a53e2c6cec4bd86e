"""The key file, and the keyring that follows it."""

import logging
import os
import stat
import tomllib

import pytest

from rewards.errors import FgctlError
from service.domain.caller import Limits
from service.edge import keys as keys_module
from service.edge.keys import PREFIX, KeyFile, Keyring, digest


@pytest.fixture
def file(tmp_path):
    return KeyFile(tmp_path / "keys" / "keys.toml")


@pytest.fixture(autouse=True)
def check_the_file_every_time(monkeypatch):
    monkeypatch.setattr(keys_module, "_CHECK_EVERY", 0.0)


def test_a_key_is_random_and_only_its_hash_is_stored(file):
    secrets = {file.add("app", ["generate"], Limits())[1] for _ in range(3)}
    assert len(secrets) == 3
    text = file.path.read_text()
    for secret in secrets:
        assert secret.startswith(PREFIX)
        assert len(secret) >= 46
        assert secret not in text
        assert digest(secret) in text
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert set(tomllib.loads(text)) == {"keys"}


def test_keys_are_read_as_written_and_file_permissions_stay(file):
    key_id, _ = file.add("the app", ["generate", "admin", "admin"], Limits(2, 60, None))
    file.path.chmod(0o640)
    file.add("another", ["metrics"], Limits())
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o640
    key = file.read()[key_id]
    assert (key.name, key.scopes) == ("the app", ("generate", "admin"))
    assert (key.concurrency, key.requests_per_minute, key.tokens_per_minute) == (2, 60, None)
    caller = key.caller(key_id)
    assert (caller.id, caller.limits) == (f"key:{key_id}", Limits(2, 60, None))
    assert caller.scopes == {"generate", "admin"}


def test_the_keyring_accepts_its_keys_and_nothing_else(file):
    added = {file.add(str(i), ["generate"], Limits()) for i in range(3)}
    ring = Keyring(file.path)
    assert {ring.caller(secret).id for _, secret in added} == {f"key:{key_id}" for key_id, _ in added}
    _, secret = next(iter(added))
    for wrong in ("", "fg_", secret[:-1], secret + "a", secret.upper(), digest(secret), "\udcff", "\x00"):
        assert ring.caller(wrong) is None


def test_every_key_is_compared_in_constant_time(file, monkeypatch):
    secrets = [file.add(str(i), ["generate"], Limits())[1] for i in range(4)]
    ring, compared = Keyring(file.path), []
    stored = {digest(secret).encode() for secret in secrets}
    original = keys_module.hmac.compare_digest
    monkeypatch.setattr(keys_module.hmac, "compare_digest", lambda a, b: compared.append({a, b}) or original(a, b))
    for secret in (*secrets, "fg_wrong"):
        compared.clear()
        caller = ring.caller(secret)
        # The digest of the presented key meets every stored digest once, wherever the match is.
        presented = digest(secret).encode()
        assert sorted(map(sorted, compared)) == sorted(sorted({key, presented}) for key in stored)
        assert (caller is not None) == (secret in secrets)


def test_the_keyring_follows_changes_of_the_file(file):
    key_id, secret = file.add("first", ["generate"], Limits())
    ring = Keyring(file.path)
    _, later = file.add("second", ["generate"], Limits())
    assert ring.caller(later) is not None
    file.revoke(key_id)
    assert ring.caller(secret) is None


@pytest.mark.parametrize("content", ["[keys", "[keys.a]\nname = 'x'\n", "[kys]\n", b"\xff\xfe", None])
def test_a_file_that_becomes_invalid_leaves_the_keys_and_is_logged_once(file, caplog, content):
    _, secret = file.add("app", ["generate"], Limits())
    ring = Keyring(file.path)
    if content is None:
        file.path.unlink()
    else:
        file.path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            assert ring.caller(secret) is not None
    assert caplog.text.count("keeping the previous keys") == 1


def test_a_missing_or_invalid_file_is_reported_in_a_sentence(file):
    with pytest.raises(FgctlError, match="does not exist; add a key with `fgctl keys add`"):
        Keyring(file.path)
    file.add("app", ["generate"], Limits())
    file.path.write_text(file.path.read_text().replace('"generate"', '"everything"'))
    with pytest.raises(FgctlError, match=r"is invalid \(.*scopes\.0.*\); fix it"):
        file.read()


def test_revoking_an_unknown_key_names_the_known_ones(file):
    key_id, _ = file.add("app", ["generate"], Limits())
    with pytest.raises(FgctlError, match=f"no key 'nothing' in .*; choose one of {key_id}"):
        file.revoke("nothing")
    file.revoke(key_id)
    with pytest.raises(FgctlError, match="it has no keys"):
        file.revoke(key_id)


def test_a_write_that_fails_leaves_the_file_unchanged(file, monkeypatch):
    file.add("app", ["generate"], Limits())
    before = file.path.read_bytes()

    def fail(descriptor):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        file.add("another", ["generate"], Limits())
    assert file.path.read_bytes() == before
    assert {p.name for p in file.path.parent.iterdir()} <= {"keys.toml", "keys.toml.lock"}


@pytest.mark.parametrize("name", [" app", "app ", "аpp", "ａpp"])
def test_a_name_that_looks_like_another_is_refused(file, name):
    file.add("app", ["generate"], Limits())
    with pytest.raises(FgctlError, match="The name"):
        file.add(name, ["generate"], Limits())
    assert len(file.read()) == 1
