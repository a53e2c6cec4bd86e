import json
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

from deploy.monitoring.budgets import BUDGETS, FALSE_ALARM, OTHER_CATEGORIES, Budget, budget_of, budgeted_series

POLICIES = Path(__file__).parents[4] / "policies/shipped"
RUNBOOK = Path(__file__).parents[4] / "docs/runbook.md"
BUDGET_SHARES = [
    (series.budget, share) for series in budgeted_series() for share in (series.budget.fast, series.budget.slow)
]


def stored():
    """Every profile, with its entry in profiles.toml and the scores of its current version."""
    for name, profile in tomllib.loads((POLICIES / "profiles.toml").read_text()).items():
        manifest = json.loads((POLICIES / name / profile["version"] / "policy.json").read_text())
        yield name, profile, manifest["scores"]


def test_thresholds_take_a_share_of_the_headroom():
    budget = Budget(0.25, design_effect=1)
    assert budget.threshold(0.4) == pytest.approx(0.25 + 0.4 * 0.75)
    assert budget.factor(0.4) == pytest.approx(2.2)


def test_a_small_budget_gets_the_customary_factor():
    assert Budget(0.001, design_effect=1).factor(0.0134) == pytest.approx(14.4, abs=0.05)


@pytest.mark.parametrize(("budget", "share"), BUDGET_SHARES)
def test_a_rate_at_its_budget_hardly_ever_exceeds_the_threshold(budget, share):
    independent = budget.minimum(share) / budget.design_effect
    # However many segments there are, from the minimum on.
    numbers = np.unique(np.geomspace(independent, 20 * independent, 200).astype(int) + 1)
    assert binom.sf(budget.threshold(share) * numbers, numbers, budget.error_ratio).max() < FALSE_ALARM
    # And a third of the minimum would not be enough.
    few = int(independent / 3)
    assert binom.sf(budget.threshold(share) * few, few, budget.error_ratio) > FALSE_ALARM


def test_measured_design_effects_are_no_larger_than_assumed():
    measured = dict.fromkeys(("relevance", "factuality"), 0.0)
    for _, _, scores in stored():
        for category in measured:
            segments, errors = (np.array(scores["per_question"][kind][category]) for kind in ("segments", "errors"))
            measured[category] = max(measured[category], _design_effect(segments, errors))
    assert measured["relevance"] > 1
    for category, effect in measured.items():
        assert effect <= BUDGETS[category].design_effect


def test_served_versions_are_within_their_budgets():
    served = [(name, scores) for name, profile, scores in stored() if name != "sft" and profile.get("served", True)]
    assert {name for name, _ in served} >= {"short", "medium", "long"}
    for name, scores in served:
        for category, ratio in scores.get("served", scores)["error_ratio"].items():
            assert ratio < budget_of(name, category).error_ratio, f"{name} {category}"


def test_every_series_has_one_budget():
    for profile in ("short", "medium", "long", "mixture", "polite"):
        for category in (*BUDGETS, "politeness"):
            labels = {"profile": profile, "category": category}
            matching = [series for series in budgeted_series() if _matches(series.selector, **labels)]
            assert [series.budget for series in matching] == [budget_of(profile, category)]


def test_unknown_profiles_and_categories_have_a_budget():
    assert budget_of("polite", "relevance") == BUDGETS["relevance"]
    assert budget_of("polite", "politeness") == OTHER_CATEGORIES
    assert budget_of("long", "relevance").error_ratio > BUDGETS["relevance"].error_ratio
    assert budget_of("long", "relevance").design_effect == BUDGETS["relevance"].design_effect


def test_the_runbook_has_the_numbers():
    rows = [line.strip("| ").split(" | ") for line in RUNBOOK.read_text().splitlines() if line.startswith("| ")]
    tables = {(row[0], row[1]): row[2:] for row in rows if len(row) == 9 and row[2].startswith(".")}
    expected = {}
    for series in budgeted_series():
        profiles = [other.profile for other in budgeted_series() if other.category == series.category and other.profile]
        others = "others" if profiles else "all"
        budget = series.budget
        expected[series.category or "configured", series.profile or others] = [
            f"{budget.error_ratio:.2f}"[1:],
            *(
                text
                for share in (budget.fast, budget.slow)
                for text in (
                    f"{budget.threshold(share):.3f}"[1:],
                    f"{budget.factor(share):.2f}",
                    f"{budget.minimum(share):,}",
                )
            ),
        ]
    assert tables == expected


def _design_effect(segments, errors):
    """The variance of a ratio estimated from responses, over that of as many independent segments."""
    ratio = errors.sum() / segments.sum()
    responses = len(segments)
    variance = ((errors - ratio * segments) ** 2).sum() * responses / (responses - 1) / segments.sum() ** 2
    return variance / (ratio * (1 - ratio) / segments.sum())


def _matches(selector, **labels):
    operators = {
        "=": lambda value, wanted: value == wanted,
        "!~": lambda value, pattern: not re.fullmatch(pattern, value),
    }
    matchers = re.findall(r'(\w+)(=|!~)"([^"]*)"', selector)
    return all(operators[operator](labels[name], value) for name, operator, value in matchers)
