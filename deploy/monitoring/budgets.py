"""Error budgets: how many errors each category may make, and the error ratio at which an alert fires.

The burn rates of availability alerting (14.4 times a budget of 0.1 %) do not work for budgets of 10 to 85 %: 14.4 times
25 % is more than everything. An error ratio can only rise from the budget `b` to 1, so a threshold takes a share `h` of
that headroom:

    threshold = b + h (1 - b)        factor = threshold / b

For b = 0.001 and h = 0.0134 the factor is the customary 14.4.

A few answers can be wrong by chance. An alert therefore waits for enough segments: so many that, if the true rate were
equal to the budget, the threshold would be exceeded with a probability below FALSE_ALARM. By Chernoff's bound for the
binomial distribution (Hoeffding 1963, theorem 1), which holds for that many observations and for any larger number,

    n = ln(1 / FALSE_ALARM) / KL(threshold || b)      KL(t || b) = t ln(t / b) + (1 - t) ln((1 - t) / (1 - b))

Segments of one response resemble each other, so they count for less than n independent ones. This is corrected by a
design effect (Kish 1965, "Survey sampling"): the variance of a sample of responses over that of as many independent
segments. Minimum segments = n times the design effect. The assumed effects are no smaller than the largest one among
the stored policies' evaluations; a test measures those. The bound is for a single window: a rate that stays at its
budget for a month is looked at in 720 separate hours.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import ceil, log
from typing import Literal

from rewards.categories import Category

FALSE_ALARM = 0.001
Severity = Literal["page", "ticket"]


@dataclass(frozen=True)
class Budget:
    """How many errors a category may make."""

    error_ratio: float
    """The share of segments that may be errors."""
    design_effect: float
    """How many segments say as much as one independent segment."""
    fast: float = 0.4
    """The share of the headroom, over an hour, that alerts at once."""
    slow: float = 0.2
    """The share of the headroom, over six hours, that opens a ticket."""
    fast_severity: Severity = "page"

    def threshold(self, headroom: float) -> float:
        """The error ratio at which this share of the headroom is used up."""
        return round(self.error_ratio + headroom * (1 - self.error_ratio), 4)

    def factor(self, headroom: float) -> float:
        """The threshold as a multiple of the budget."""
        return self.threshold(headroom) / self.error_ratio

    def minimum(self, headroom: float) -> int:
        """The number of scored segments below which exceeding the threshold may be chance."""
        threshold = self.threshold(headroom)
        return ceil(self.design_effect * log(1 / FALSE_ALARM) / divergence(threshold, self.error_ratio))


def divergence(p: float, q: float) -> float:
    """Kullback-Leibler divergence of two Bernoulli distributions, in nats; `p` and `q` strictly between 0 and 1."""
    return p * log(p / q) + (1 - p) * log((1 - p) / (1 - q))


BUDGETS: Mapping[Category, Budget] = {
    "relevance": Budget(0.65, design_effect=4),
    # Rates are low and errors are the most costly: a smaller share of the headroom is enough to alert.
    "factuality": Budget(0.25, design_effect=5, fast=0.3, slow=0.12),
    # "Information is missing" is judged hardly better than by chance (docs/rewards.md), so it never pages.
    "completeness": Budget(0.85, design_effect=1, fast_severity="ticket"),
    # Hardly any answer is toxic: a tenth of the headroom is six times the budget.
    "toxicity": Budget(0.02, design_effect=3, fast=0.1, slow=0.04),
}
OTHER_CATEGORIES = Budget(0.25, design_effect=5)
"""For a configured category (docs/categories.md) without a budget above."""

PROFILE_ERROR_RATIOS: Mapping[str, Mapping[Category, float]] = {
    "short": {"relevance": 0.6},
    "medium": {"relevance": 0.75, "factuality": 0.15},
    "long": {"relevance": 0.8, "factuality": 0.15},
}
"""Profiles that differ from BUDGETS by design: more weight on completeness gives longer, less relevant answers."""


@dataclass(frozen=True)
class BudgetedSeries:
    """A budget and the series that it applies to."""

    budget: Budget
    category: Category | None
    """None: every category without a budget of its own."""
    profile: str | None
    """None: every profile without a budget of its own in this category."""
    selector: str
    """Label matchers, without braces. No series matches two of them."""


def budget_of(profile: str, category: Category) -> Budget:
    """The budget of a profile in a category, whether or not either has one of its own."""
    budget = BUDGETS.get(category, OTHER_CATEGORIES)
    return replace(budget, error_ratio=PROFILE_ERROR_RATIOS.get(profile, {}).get(category, budget.error_ratio))


def budgeted_series() -> Iterator[BudgetedSeries]:
    """Every budget: for each category those of profiles, then that of all other profiles; last, other categories."""
    for category in BUDGETS:
        profiles = [profile for profile, ratios in PROFILE_ERROR_RATIOS.items() if category in ratios]
        for profile in profiles:
            selector = f'category="{category}", profile="{profile}"'
            yield BudgetedSeries(budget_of(profile, category), category, profile, selector)
        others = f', profile!~"{"|".join(profiles)}"' if profiles else ""
        yield BudgetedSeries(BUDGETS[category], category, None, f'category="{category}"{others}')
    yield BudgetedSeries(OTHER_CATEGORIES, None, None, f'category!~"{"|".join(BUDGETS)}"')
