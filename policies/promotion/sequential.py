"""Whether a canary is worse than its incumbent: a sequential test, which may be read after every response.

The test compares the means, over each arm's scored responses, of a response's mean error probability in a category. A
confidence interval for a fixed number of responses, looked at again and again, sooner or later excludes the truth; an
asymptotic confidence sequence, used here, holds at all numbers of responses at once. Source: Waudby-Smith, Arbour,
Sinha, Kennedy & Ramdas (2024), "Time-uniform central limit theory and asymptotic confidence sequences", Annals of
Statistics 52(6), theorem 2.2 (arXiv 2103.06476).

With `n = n1 + n2` responses of both arms, `v1` and `v2` their variances, `K` categories, `a = ALPHA / K` (Bonferroni):

    s2     = n (v1 / n1 + v2 / n2)
    radius = sqrt(s2) sqrt(2 (n r2 + 1) / (n^2 r2) log(sqrt(n r2 + 1) / a))

`r2` (rho squared in the paper) makes the sequence narrowest at about N_STAR responses. The monitoring rules compute the
same from the same counters and import these constants.

The sequence treats responses as independent. Those of one caller are not, and it is callers that are assigned to an
arm: a few callers with many requests make the sequence narrower than it should be.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import log, sqrt
from typing import Literal, get_args

from rewards.categories import Category

ALPHA = 0.05
"""The chance that the interval of any category ever misses the true difference."""
N_STAR = 1000
"""Number of responses, both arms together, at which the intervals are narrowest."""
MARGIN = 0.05
"""How much higher a canary's error probability may be while it still counts as no worse."""
MIN_RESPONSES = 30
"""Responses an arm needs: with fewer, their variance is not known well enough for a verdict."""

Verdict = Literal["worse", "no_worse", "undecided"]
CANARY, INCUMBENT = ARMS = ("canary", "incumbent")
"""The two versions that a profile's traffic is divided between."""
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Sums:
    """Sums of one category over an arm's responses."""

    total: float
    """Sum of the responses' mean error probabilities."""
    squares: float
    """Sum of their squares."""

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(self.total + other.total, self.squares + other.squares)


@dataclass(frozen=True)
class Arm:
    """The evidence on a canary, or on its incumbent."""

    responses: float
    categories: Mapping[Category, Sums]

    def __post_init__(self) -> None:
        """Raises ValueError for sums that error probabilities of that many responses cannot have."""
        slack = _ROUNDING * max(1.0, self.responses)
        for name, sums in self.categories.items():
            if not -slack <= sums.squares <= sums.total + slack <= self.responses + 2 * slack:
                raise ValueError(
                    f"{self.responses:g} probabilities cannot sum to {sums.total:g}, and their squares to "
                    f"{sums.squares:g}, in {name}"
                )

    def __add__(self, other: "Arm") -> "Arm":
        """The responses of both together, in the categories by which both were scored."""
        if not self.responses or not other.responses:
            return self if self.responses else other
        shared = [name for name in self.categories if name in other.categories]
        sums = {name: self.categories[name] + other.categories[name] for name in shared}
        return Arm(self.responses + other.responses, sums)

    def mean(self, category: Category) -> float:
        """The mean error probability; needs at least one response."""
        return self.categories[category].total / self.responses

    def variance(self, category: Category) -> float:
        """Mean of the squares minus the square of the mean, as the monitoring rules compute it; at least 0."""
        return max(0.0, self.categories[category].squares / self.responses - self.mean(category) ** 2)


@dataclass(frozen=True)
class CategoryDifference:
    """How the arms differ in one category."""

    canary: float
    """Mean error probability."""
    incumbent: float
    """Mean error probability."""
    radius: float | None
    """Half the width of the confidence sequence; None while an arm has fewer than MIN_RESPONSES."""

    @property
    def difference(self) -> float:
        """Canary minus incumbent: above 0, the canary makes more errors."""
        return self.canary - self.incumbent

    @property
    def low(self) -> float:
        """Lower end of the interval; at least -1, as two probabilities differ by at most 1."""
        return -1.0 if self.radius is None else max(-1.0, self.difference - self.radius)

    @property
    def high(self) -> float:
        """Upper end of the interval; at most 1."""
        return 1.0 if self.radius is None else min(1.0, self.difference + self.radius)


@dataclass(frozen=True)
class CanaryComparison:
    """The result of the test."""

    categories: Mapping[Category, CategoryDifference]
    verdict: Verdict
    """`worse`: in some category the whole interval of the difference lies above 0. `no_worse`: in every category it
    lies below MARGIN. `undecided`: neither."""
    reason: str
    """Why, as a sentence."""


def compare(canary: Arm, incumbent: Arm, alpha: float = ALPHA, margin: float = MARGIN) -> CanaryComparison:
    """Compare a canary with its incumbent in every category by which both were scored.

    May be called after any number of responses, any number of times: over all calls together, a canary that is no worse
    is called worse with probability `alpha` at most, and one that is worse by `margin` or more is called no worse with
    probability `alpha` at most.
    """
    fewest = min(canary.responses, incumbent.responses)
    names = [name for name in canary.categories if name in incumbent.categories] if fewest else []
    differences = {
        name: CategoryDifference(
            canary.mean(name),
            incumbent.mean(name),
            _radius(canary, incumbent, name, alpha / len(names)) if fewest >= MIN_RESPONSES else None,
        )
        for name in names
    }
    return CanaryComparison(differences, *_verdict(differences, canary.responses, incumbent.responses, margin))


def half_width(responses: float, variance: float, alpha: float, narrowest_at: float = N_STAR) -> float:
    """Half the width of a mean's confidence sequence at level `alpha`, after `responses` of that variance."""
    r2 = rho_squared(alpha, narrowest_at)
    grown = responses * r2 + 1
    return sqrt(variance) * sqrt(2 * grown / (responses**2 * r2) * log(sqrt(grown) / alpha))


def rho_squared(alpha: float, narrowest_at: float = N_STAR) -> float:
    """The tuning that makes the sequence nearly narrowest at that many responses (ibid., appendix B.2).

    With `L = -2 log(alpha)` and `u = n r2` the narrowest has `u = L + log(1 + u)`, which `L + log(1 + L)`
    approximates.
    """
    logs = -2 * log(alpha)
    return (logs + log(logs + 1)) / narrowest_at


def _radius(canary: Arm, incumbent: Arm, category: Category, alpha: float) -> float:
    both = canary.responses + incumbent.responses
    of_difference = canary.variance(category) / canary.responses + incumbent.variance(category) / incumbent.responses
    return half_width(both, both * of_difference, alpha)


def _verdict(
    differences: Mapping[Category, CategoryDifference], canary: float, incumbent: float, margin: float
) -> tuple[Verdict, str]:
    if min(canary, incumbent) < MIN_RESPONSES:
        return "undecided", (
            f"The canary has {canary:.0f} scored responses and its incumbent {incumbent:.0f}; a verdict needs "
            f"{MIN_RESPONSES} of each."
        )
    if not differences:
        return "undecided", "No category was scored for both the canary's and the incumbent's responses."
    name, worst = max(differences.items(), key=lambda item: item[1].low)
    if worst.low > 0:
        return "worse", (
            f"In {name} the canary's mean error probability is {worst.difference:.3f} above the incumbent's, at least "
            f"{worst.low:.3f}."
        )
    name, widest = max(differences.items(), key=lambda item: item[1].high)
    if widest.high < margin:
        return "no_worse", (
            f"In no category is the canary's mean error probability {margin:g} or more above the incumbent's: at most "
            f"{widest.high:.3f}, in {name}."
        )
    return "undecided", (
        f"In {name} the difference may still be anything from {widest.low:+.3f} to {widest.high:+.3f}; the canary is "
        f"worse when such an interval lies above 0, and no worse when all lie below {margin:g}."
    )
