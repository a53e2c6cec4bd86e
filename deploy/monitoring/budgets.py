"""How many errors each category may make, and from where on somebody is told.

Rates of availability alerting (14.4 times a budget of 0.1 %) mean nothing for budgets of 10 to 85 %: 14.4 times 25 %
does not exist. A rate can only rise from the budget `b` to 1, so that an alert takes a share `h` of that headroom:

    threshold = b + h (1 - b)        factor = threshold / b

For b = 0.001 and h = 0.0134 that is the customary 14.4.

A few answers can err by chance. An alert waits for so many segments that, were the true rate equal to the budget, the
threshold would be exceeded with a probability below FALSE_ALARM. By Chernoff's bound of the binomial distribution
(Hoeffding 1963, theorem 1), which holds for that many observations and for any more,

    n = ln(1 / FALSE_ALARM) / KL(threshold || b)      KL(t || b) = t ln(t / b) + (1 - t) ln((1 - t) / (1 - b))

Segments of one response resemble each other, so that n counts too much. The assumption: a design effect (Kish 1965,
"Survey sampling"), the variance of a response-wise sample over that of independent segments, no larger than the largest
among the stored policies' evaluations, which a test measures. Minimum segments = n times the design effect. The bound
is for one window; a rate that stays at its budget for a month is looked at in 720 separate hours.
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
    """What one category may err."""

    error_ratio: float
    """The share of segments that may be errors."""
    design_effect: float
    """How many segments are worth one that is independent of all others."""
    fast: float = 0.4
    """The share of the headroom that is worth waking somebody, over an hour."""
    slow: float = 0.2
    """The share of the headroom that is worth a ticket, over six hours."""
    fast_severity: Severity = "page"

    def threshold(self, headroom: float) -> float:
        """The error ratio above which a share of the headroom is used."""
        return round(self.error_ratio + headroom * (1 - self.error_ratio), 4)

    def factor(self, headroom: float) -> float:
        """How many times the budget that is."""
        return self.threshold(headroom) / self.error_ratio

    def minimum(self, headroom: float) -> int:
        """How many segments must be scored before that says anything."""
        threshold = self.threshold(headroom)
        return ceil(self.design_effect * log(1 / FALSE_ALARM) / divergence(threshold, self.error_ratio))


def divergence(p: float, q: float) -> float:
    """Kullback and Leibler's divergence of two coins, in nats. Both lie strictly between 0 and 1."""
    return p * log(p / q) + (1 - p) * log((1 - p) / (1 - q))


BUDGETS: Mapping[Category, Budget] = {
    "relevance": Budget(0.65, design_effect=4),
    # Rates are low and errors cost most: less of the headroom is enough.
    "factuality": Budget(0.25, design_effect=5, fast=0.3, slow=0.12),
    # "Information is missing" is judged hardly better than by chance (docs/rewards.md): nobody is woken for it.
    "completeness": Budget(0.85, design_effect=1, fast_severity="ticket"),
}
OTHER = Budget(0.25, design_effect=5)
"""Of a configured category (docs/categories.md) that has no budget of its own here."""

PROFILES: Mapping[str, Mapping[Category, float]] = {
    "short": {"relevance": 0.6},
    "medium": {"relevance": 0.75, "factuality": 0.15},
    "long": {"relevance": 0.8, "factuality": 0.15},
}
"""Error ratios of profiles that differ by design: more weight on completeness buys longer, less relevant answers."""


@dataclass(frozen=True)
class Entry:
    """A budget, and the series it is for."""

    budget: Budget
    category: Category | None
    """None: every category that has no budget of its own."""
    profile: str | None
    """None: every profile that has no budget of its own in this category."""
    selector: str
    """Label matchers, without braces. Those of two entries never match the same series."""


def budget_of(profile: str, category: Category) -> Budget:
    """The budget of a profile in a category, whether either is known or not."""
    budget = BUDGETS.get(category, OTHER)
    return replace(budget, error_ratio=PROFILES.get(profile, {}).get(category, budget.error_ratio))


def entries() -> Iterator[Entry]:
    """Every budget: for each category those of its profiles, then everybody's; at last that of other categories."""
    for category in BUDGETS:
        own = [profile for profile, ratios in PROFILES.items() if category in ratios]
        for profile in own:
            selector = f'category="{category}", profile="{profile}"'
            yield Entry(budget_of(profile, category), category, profile, selector)
        others = f', profile!~"{"|".join(own)}"' if own else ""
        yield Entry(BUDGETS[category], category, None, f'category="{category}"{others}')
    yield Entry(OTHER, None, None, f'category!~"{"|".join(BUDGETS)}"')
