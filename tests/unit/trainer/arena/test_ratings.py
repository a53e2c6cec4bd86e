"""What verdicts amount to, by hand-computed cases."""

from math import log

import numpy as np
import pytest

from trainer.arena.matches import Match, Verdict, matches_of
from trainer.arena.ratings import position_bias, strengths_of, summarise


def match(question, a="x", b="y", key=None):
    return Match(question, 0, a, b, key or f"{question}{a}{b}")


def words(**lengths):
    return {name: [[length] for length in values] for name, values in lengths.items()}


def verdicts(matches, choices, first=None):
    return [Verdict(match=m.key, choice=c, first=first) for m, c in zip(matches, choices, strict=True)]


def test_two_contestants_are_as_far_apart_as_their_wins():
    strengths = strengths_of(np.array([[0.0, 5.5], [2.5, 0.0]]))
    assert strengths[0] - strengths[1] == pytest.approx(log(6 / 3), abs=1e-4)  # with half a win each that nobody saw
    assert sum(strengths) == pytest.approx(0)


def test_three_contestants_have_the_strengths_that_explain_their_wins():
    odds = np.exp([1.0, 0.0, -0.5])
    expected = np.array([[a / (a + b) for b in odds] for a in odds]) * 1e5
    np.fill_diagonal(expected, 0)
    strengths = strengths_of(expected)
    assert strengths == pytest.approx(np.log(odds) - np.log(odds).mean(), abs=1e-3)


def test_a_contestant_that_always_wins_has_a_rating_and_an_interval():
    matches = [match(i) for i in range(20)]
    summary = summarise(["x", "y"], 20, matches, verdicts(matches, ["a"] * 20), words(x=[5] * 20, y=[5] * 20))
    best, worst = summary["contestants"]
    assert (best["name"], best["won"], worst["lost"]) == ("x", 20, 20)
    assert best["rating"] - worst["rating"] == pytest.approx(400 * np.log10(20.5 / 0.5), rel=1e-3)
    assert best["low"] == pytest.approx(best["high"])  # the same on every draw of the questions
    assert summary["pairs"][0]["win_rate"] == {"share": 1, "low": 1, "high": 1}


def test_ties_and_both_bad_are_half_a_win_each_and_are_counted_apart():
    matches = [match(i) for i in range(4)]
    summary = summarise(
        ["x", "y"], 4, matches, verdicts(matches, ["a", "b", "tie", "neither"]), words(x=[5] * 4, y=[5] * 4)
    )
    assert [row["rating"] for row in summary["contestants"]] == pytest.approx([1000, 1000])
    row = summary["contestants"][0]
    assert (row["won"], row["lost"], row["tied"], row["both_bad"]) == (1, 1, 1, 1)
    assert summary["pairs"][0]["win_rate"]["share"] == 0.5
    assert summary["position"] is None


def test_verdicts_of_a_match_weigh_together_as_one_and_what_cannot_be_read_does_not_count():
    matches = [match(0), match(1), match(2)]
    judged = [
        Verdict(match=matches[0].key, choice="a", first="a"), Verdict(match=matches[0].key, choice="b", first="b"),
        Verdict(match=matches[1].key, choice="a", first="a"), Verdict(match=matches[1].key, choice="a", first="b"),
        Verdict(match=matches[2].key, choice=None, first="a"),
    ]  # fmt: skip
    summary = summarise(["x", "y"], 3, matches, judged, words(x=[5] * 3, y=[5] * 3))
    assert (summary["matches"], summary["unread"]) == (2, 1)
    assert summary["pairs"][0]["win_rate"]["share"] == 0.75
    assert summary["agreement_of_orders"] == 0.5
    assert summary["contestants"][0]["won"] == 1.5


def test_position_bias_is_the_share_of_preferences_for_what_was_shown_first():
    matches = [match(i) for i in range(4)]
    judged = [
        Verdict(match=matches[0].key, choice="a", first="a"), Verdict(match=matches[1].key, choice="b", first="b"),
        Verdict(match=matches[2].key, choice="b", first="b"), Verdict(match=matches[3].key, choice="a", first="b"),
        Verdict(match=matches[3].key, choice="tie", first="a"),
    ]  # fmt: skip
    bias = position_bias(4, matches, judged)
    assert (bias["share"], bias["verdicts"]) == (0.75, 4)
    assert bias["low"] < 0.75 < bias["high"]


def test_at_equal_length_nothing_is_left_of_wins_by_length_alone():
    rng = np.random.default_rng(0)
    longer = rng.integers(-20, 40, size=300)
    matches = [match(i) for i in range(300)]
    choices = ["a" if rng.random() < 0.5 + by / 100 else "b" for by in longer]
    lengths = words(x=[60 + int(by) for by in longer], y=[60] * 300)
    pair = summarise(["x", "y"], 300, matches, verdicts(matches, choices), lengths)["pairs"][0]
    assert pair["win_rate"]["low"] > 0.5
    assert pair["at_equal_length"]["low"] < 0.5 < pair["at_equal_length"]["high"]


def test_few_verdicts_among_many_questions_have_the_interval_of_their_own_questions():
    matches = [match(i) for i in range(3)]
    lengths = words(x=[5] * 100, y=[5] * 100)
    few, alone = (
        summarise(["x", "y"], n, matches, verdicts(matches, "aab", first="a"), lengths) for n in (100, 3)
    )  # fmt: skip
    assert few == alone
    none = summarise(["x", "y"], 100, matches, [], lengths)
    assert [(row["rating"], row["low"], row["high"]) for row in none["contestants"]] == [(1000, 1000, 1000)] * 2
    assert none["pairs"][0]["matches"] == 0


def test_words_are_those_of_the_questions_that_are_compared():
    matches = [match(1), match(2)]
    summary = summarise(
        ["x", "y"], 3, matches, verdicts(matches, ["a", "a"]), words(x=[100, 4, 6], y=[100, 8, 10])
    )  # fmt: skip
    assert {row["name"]: row["words"] for row in summary["contestants"]} == {"x": 5, "y": 9}


def test_matches_are_every_pair_once_in_an_order_that_is_drawn():
    texts = {name: [[f"{name} {i}"] for i in range(6)] for name in ("x", "y", "z")}
    matches = matches_of(texts, [f"q{i}" for i in range(6)])
    assert len(matches) == 18
    assert {(m.a, m.b) for m in matches} == {("x", "y"), ("x", "z"), ("y", "z")}
    assert matches == matches_of(texts, [f"q{i}" for i in range(6)])
    assert [m.question for m in matches] != sorted(m.question for m in matches)
    assert {m.first for m in matches} == {"a", "b"}
