"""Intervals and paired differences against slow computations that share nothing with them but the questions."""

import random
from math import exp
from statistics import fmean, linear_regression, quantiles

import numpy as np
import pytest

from rewards.errors import FgctlError
from trainer.evaluation.intervals import Metric, at_equal_length, by_question, comparison, intervals, metrics

RESAMPLES = 4000


def resampled(count, statistic):
    """The 95 % interval of a statistic of drawn questions."""
    rng = random.Random(7)  # noqa: S311
    values = [statistic(rng.choices(range(count), k=count)) for _ in range(RESAMPLES)]
    cuts = quantiles(values, n=40)
    return [cuts[0], cuts[-1]]


def about(interval):
    """Equal but for what two bootstraps differ by."""
    low, high = interval
    return pytest.approx(interval, abs=0.1 * (high - low))


def clean(per_question, category, drawn):
    segments = sum(per_question["segments"][category][i] for i in drawn)
    return 1 - sum(per_question["errors"][category][i] for i in drawn) / segments


def perplexity(per_question, drawn):
    tokens = sum(per_question["nll_tokens"][i] for i in drawn)
    return exp(sum(per_question["nll"][i] * per_question["nll_tokens"][i] for i in drawn) / tokens)


def weighted(per_question, weights, drawn):
    return fmean(sum(weights[c] * rewards[i] for c, rewards in per_question["reward"].items()) for i in drawn)


def test_intervals_of_means_rates_and_perplexity(evaluated):
    report = evaluated("sft")
    per_question, bounds = report["per_question"], intervals(report)
    assert bounds["completeness"] == about(
        resampled(20, lambda drawn: fmean(per_question["completeness"][i] for i in drawn))
    )
    assert bounds["length.words"] == about(resampled(20, lambda drawn: fmean(per_question["words"][i] for i in drawn)))
    assert bounds["clean_rate.relevance"] == about(resampled(20, lambda drawn: clean(per_question, "relevance", drawn)))
    assert bounds["perplexity"] == about(resampled(20, lambda drawn: perplexity(per_question, drawn)))
    assert bounds["weighted_reward"] == about(
        resampled(20, lambda drawn: weighted(per_question, report["weights"], drawn))
    )
    second = per_question["judge"]
    assert bounds["judge.clean_rate.factuality"] == about(
        resampled(20, lambda drawn: clean(second, "factuality", drawn))
    )


def test_samples_of_a_question_are_one_question(evaluated):
    by_response = evaluated("medium", questions=6)["per_question"]
    questions = by_question(by_response, 2)
    for values in (questions, questions["judge"]):
        assert {len(column) for column in values.values() if isinstance(column, list)} == {3}
    assert questions["words"][0] == fmean(by_response["words"][:2])
    assert questions["reward"]["relevance"][2] == pytest.approx(fmean(by_response["reward"]["relevance"][4:]), abs=1e-4)
    assert questions["errors"]["relevance"][1] == sum(by_response["errors"]["relevance"][2:4])
    assert questions["judge"]["segments"]["factuality"][1] == sum(by_response["judge"]["segments"]["factuality"][2:4])
    assert questions["nll_tokens"][0] == sum(by_response["nll_tokens"][:2])
    assert perplexity(questions, range(3)) == pytest.approx(perplexity(by_response, range(6)), rel=1e-3)
    assert by_question(by_response, 1) == by_response
    assert by_question(by_response | {"judge": None}, 3)["judge"] is None


def test_the_interval_of_several_samples_counts_questions(evaluated):
    once = evaluated("medium")
    values = once["per_question"]
    twice = {name: _doubled(of) for name, of in values.items()}
    bounds_twice = intervals(once | {"per_question": by_question(twice, 2)})
    assert bounds_twice == {name: pytest.approx(bounds, abs=1e-3) for name, bounds in intervals(once).items()}


def _doubled(values):
    if isinstance(values, dict):
        return {name: _doubled(of) for name, of in values.items()}
    return values and [value for value in values for _ in range(2)]


def test_differences_are_paired(evaluated):
    mine, other = evaluated("medium"), evaluated("sft", seed=1)
    other["weights"] = {"relevance": 1.0, "factuality": 0.0, "completeness": 0.0}
    a, b = mine["per_question"], other["per_question"]
    b["words"] = [words - 10 - i % 2 for i, words in enumerate(a["words"])]
    compared = comparison(mine, other)
    assert (compared["profile"], compared["version"]) == ("sft", "1")

    def check(name, difference):
        low, high = resampled(20, difference)
        estimate = compared["differences"][name]
        assert estimate["difference"] == pytest.approx(difference(range(20)), abs=1e-4)
        assert [estimate["low"], estimate["high"]] == about([low, high])

    check("length.words", lambda drawn: fmean(10 + i % 2 for i in drawn))
    check("clean_rate.factuality", lambda drawn: clean(a, "factuality", drawn) - clean(b, "factuality", drawn))
    check("perplexity", lambda drawn: perplexity(a, drawn) - perplexity(b, drawn))
    check("weighted_reward", lambda drawn: weighted(a, mine["weights"], drawn) - weighted(b, mine["weights"], drawn))
    ratio = compared["length_ratio"]
    assert ratio["ratio"] == pytest.approx(sum(a["words"]) / sum(b["words"]), abs=1e-4)
    assert 1 < ratio["low"] < ratio["ratio"] < ratio["high"]


def test_the_judge_agrees_where_its_difference_has_the_same_sign(evaluated):
    mine, other = evaluated("medium"), evaluated("sft", seed=1)
    for report, completeness, judged in ((mine, 1.0, -1.0), (other, 0.0, 0.0)):
        report["per_question"]["completeness"] = [completeness] * 20
        report["per_question"]["judge"]["completeness"] = [judged] * 20
    differences = comparison(mine, other)["differences"]
    assert differences["completeness"] == {"difference": 1, "low": 1, "high": 1, "judge_agrees": False}
    assert "judge_agrees" not in differences["rouge_lsum"]
    without = comparison(evaluated("medium", judged=False), other)
    assert not any("judge" in name for name in without["differences"])
    assert without["length_controlled"].keys() == {"weighted_reward"}


def test_a_difference_at_equal_length_is_the_intercept_of_a_line():
    rng = np.random.default_rng(0)
    longer = rng.integers(-20, 40, 30).astype(float)
    y = 0.5 + 0.03 * longer + rng.normal(size=30) * 0.1
    ones = np.ones(30)
    estimate = at_equal_length(Metric(y, ones), Metric(np.zeros(30), ones), longer)
    fitted = linear_regression(longer, y)
    assert estimate["difference"] == pytest.approx(fitted.intercept, abs=1e-4)
    interval = resampled(30, lambda drawn: linear_regression(longer[drawn], y[drawn]).intercept)
    assert [estimate["low"], estimate["high"]] == about(interval)
    same = at_equal_length(Metric(y, ones), Metric(np.zeros(30), ones), np.full(30, 7.0))
    assert same["difference"] == pytest.approx(y.mean(), abs=1e-4)
    some = ones * (np.arange(30) < 20)
    left_out = at_equal_length(Metric(y * some, some), Metric(np.zeros(30), ones), longer)
    assert left_out["difference"] == pytest.approx(linear_regression(longer[:20], y[:20]).intercept, abs=1e-4)


def test_figures_without_segments_or_tokens(evaluated):
    report = evaluated("sft")
    nothing = [0] * 20
    report["per_question"]["segments"]["relevance"] = report["per_question"]["errors"]["relevance"] = nothing
    report["per_question"]["nll_tokens"] = nothing
    bounds = intervals(report)
    assert bounds["clean_rate.relevance"] == bounds["perplexity"] == [1, 1]
    other = comparison(report, evaluated("short", seed=1))
    assert other["differences"]["clean_rate.relevance"]["high"] >= 0
    assert metrics(report["per_question"], report["weights"]).keys() == bounds.keys()


def test_only_answers_to_the_same_questions_by_the_same_rewards_are_compared(evaluated):
    with pytest.raises(FgctlError, match="medium@1 and sft@2 answered different questions"):
        comparison(evaluated("medium"), evaluated("sft", "2", asked="b"))
    with pytest.raises(FgctlError, match="different reward models"):
        comparison(evaluated("medium"), evaluated("sft") | {"rewards": "s"})


def test_the_share_of_same_answers_has_an_interval(evaluated):
    mine, theirs = evaluated("medium"), evaluated("long", seed=1)
    pairs = list(zip(mine["per_question"]["answer"], theirs["per_question"]["answer"], strict=True))
    same = comparison(mine, theirs)["same_answers"]
    assert same["share"] == fmean(a == b for a, b in pairs)
    assert [same["low"], same["high"]] == about(
        resampled(20, lambda drawn: fmean(pairs[i][0] == pairs[i][1] for i in drawn))
    )
    assert comparison(mine, mine)["same_answers"] == {"share": 1, "low": 1, "high": 1}


def test_reports_from_before_copied_words_are_compared_in_what_they_have(evaluated):
    mine, theirs = evaluated("medium"), evaluated("long", seed=1)
    for name in ("copied", "answer"):
        del theirs["per_question"][name]
    del theirs["per_question"]["judge"]["reward"]
    compared = comparison(mine, theirs)
    assert compared["same_answers"] is None
    assert "copied.share" in metrics(mine["per_question"], {})
    assert not {"copied.share", "copied.longest", "judge.weighted_reward"} & compared["differences"].keys()
    assert "weighted_reward" in compared["differences"]
