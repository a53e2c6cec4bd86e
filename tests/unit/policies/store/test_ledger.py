import json
from datetime import UTC, datetime

import pytest

from policies.store import ledger as module
from policies.store.ledger import Ledger, Promotion, in_effect, promoter, trail
from rewards.errors import FgctlError


def line(version, previous, action="promote", profile="medium"):
    return Promotion(
        action=action, profile=profile, version=version, previous=previous, who="ada",
        when=datetime(2026, 1, 1, tzinfo=UTC), reason="", scores={}, difference=None, overridden=None,
    )  # fmt: skip


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "promotions.jsonl")


def test_lines_are_json_objects_appended_and_read_by_profile(ledger):
    assert ledger.of("medium") == []
    written = [line("a", None), line("x", None, profile="long"), line("b", "a")]
    for promotion in written:
        before = ledger.file.read_bytes() if ledger.file.is_file() else b""
        ledger.append(promotion)
        assert ledger.file.read_bytes().startswith(before)
    assert ledger.of("medium") == [written[0], written[2]]
    assert [json.loads(text)["version"] for text in ledger.file.read_text().splitlines()] == ["a", "x", "b"]


def test_a_promotion_that_came_too_late_is_withdrawn_whatever_its_reason_says(tmp_path):
    ledger = Ledger(tmp_path / "promotions.jsonl", lambda file, text: file.write_text(text, encoding="utf-8"))
    kept, late = line("a", None), line("b", "a").model_copy(update={"reason": "faster\u2028and shorter"})
    for promotion in (kept, late):
        ledger.append(promotion)
    ledger.withdraw(late)
    assert ledger.of("medium") == [kept]


@pytest.mark.parametrize("length", [1, 20, 150])
def test_a_torn_last_line_is_none_and_makes_way(ledger, length):
    ledger.append(line("a", None))
    whole = ledger.file.read_bytes()
    ledger.file.write_bytes(whole + whole[:length])
    assert [promotion.version for promotion in ledger.of("medium")] == ["a"]
    ledger.append(line("b", "a"))
    assert [promotion.version for promotion in ledger.of("medium")] == ["a", "b"]
    assert [json.loads(text)["version"] for text in ledger.file.read_text().splitlines()] == ["a", "b"]


def test_a_whole_last_line_without_its_end_is_kept(ledger):
    ledger.append(line("a", None))
    ledger.file.write_bytes(ledger.file.read_bytes().rstrip(b"\n"))
    assert [promotion.version for promotion in ledger.of("medium")] == ["a"]
    ledger.append(line("b", "a"))
    assert [promotion.version for promotion in ledger.of("medium")] == ["a", "b"]


def test_a_broken_line_in_the_middle_is_said(ledger):
    ledger.append(line("a", None))
    ledger.file.write_bytes(b'{"profile": "medium"}\n' + ledger.file.read_bytes())
    with pytest.raises(FgctlError, match="line 1, is not a valid promotion; restore it"):
        ledger.of("medium")


@pytest.mark.parametrize(
    ("lines", "current", "expected"),
    [
        ([], "a", ["a"]),
        ([line("a", None), line("b", "a")], "b", ["a", "b"]),
        ([line("b", "a")], "b", ["a", "b"]),
        ([line("b", "a"), line("a", "b", "rollback")], "a", ["a"]),
        ([line("b", "a"), line("c", "b"), line("b", "c", "rollback")], "b", ["a", "b"]),
        ([line("b", "a"), line("a", "b")], "a", ["a", "b", "a"]),
        # Killed before profiles.toml: at the end, before the same again, before another, in a rollback.
        ([line("b", "a"), line("c", "b")], "b", ["a", "b"]),
        ([line("b", "a"), line("c", "b"), line("c", "b")], "c", ["a", "b", "c"]),
        ([line("b", "a"), line("c", "b"), line("d", "b")], "d", ["a", "b", "d"]),
        ([line("b", "a"), line("a", "b", "rollback")], "b", ["a", "b"]),
        ([line("a", None), line("a", None)], "a", ["a"]),
        # Someone wrote h into profiles.toml.
        ([line("b", "a"), line("c", "b")], "h", ["a", "b", "h"]),
        ([line("b", "a"), line("c", "h")], "c", ["h", "c"]),
    ],
)
def test_the_trail_leads_through_what_was_current(lines, current, expected):
    assert trail(lines, current) == expected


def test_a_line_counts_once_what_follows_begins_with_its_version():
    lines = [line("a", None), line("b", "a"), line("c", "a")]
    assert in_effect(lines, "c") == [lines[0], lines[2]]
    assert in_effect(lines, "a") == [lines[0]]
    assert in_effect([], None) == []


def test_who_promotes(monkeypatch):
    monkeypatch.setenv("FGCTL_USER", "Ada Lovelace")
    assert promoter() == "Ada Lovelace"
    monkeypatch.delenv("FGCTL_USER")
    monkeypatch.setattr(module.getpass, "getuser", lambda: "ada")
    assert promoter() == "ada"

    def nobody():
        raise KeyError("uid not found")

    monkeypatch.setattr(module.getpass, "getuser", nobody)
    with pytest.raises(FgctlError, match="set FGCTL_USER"):
        promoter()
