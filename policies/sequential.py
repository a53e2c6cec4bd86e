"""Whether a canary is worse than its incumbent: a test that may be read after every response, as often as one likes.

What is compared is the mean, over an arm's scored responses, of a response's mean error probability in a category. A
confidence interval for a fixed number of responses would be wrong one day if it is looked at every day; the one used
here, an asymptotic confidence sequence, holds at all numbers of responses at once. Source: Waudby-Smith, Arbour,
Sinha, Kennedy & Ramdas (2024), "Time-uniform central limit theory and asymptotic confidence sequences", Annals of
Statistics 52(6), theorem 2.2 (arXiv 2103.06476).

With `n = n1 + n2` responses of both arms, `v1` and `v2` their variances, `K` categories, `a = ALPHA / K` (Bonferroni):

    s2     = n (v1 / n1 + v2 / n2)
    radius = sqrt(s2) sqrt(2 (n r2 + 1) / (n^2 r2) log(sqrt(n r2 + 1) / a))

`r2` (rho squared in the paper) makes the sequence narrowest at about N_STAR responses. The monitoring rules compute
the same from the same counters and import these constants.

The sequence counts responses as independent. Those of one caller are not, and callers are what is drawn: a few callers
who ask much make it narrower than it should be.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import log, sqrt
from typing import Literal, get_args

from rewards.categories import Category

ALPHA = 0.05
"""The chance that the interval of some category ever misses the true difference."""
N_STAR = 1000
"""Responses, both arms together, at which the intervals are narrowest."""
MARGIN = 0.05
"""By so much more error probability a canary may be worse and still count as no worse."""
MIN_RESPONSES = 30
"""Of each arm: with fewer, their variance is not known well enough for any verdict."""

Verdict = Literal["worse", "no_worse", "undecided"]
CANARY, INCUMBENT = ARMS = ("canary", "incumbent")
"""The two versions that a profile's traffic is divided between."""
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Sums:
    """Sums of one category over an arm's responses."""

    total: float
    """Of the responses' mean error probabilities."""
    squares: float
    """Of their squares."""

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(self.total + other.total, self.squares + other.squares)


@dataclass(frozen=True)
class Arm:
    """The evidence about a canary, or about its incumbent."""

    responses: float
    categories: Mapping[Category, Sums]

    def __post_init__(self) -> None:
        """Raises ValueError for sums that no error probabilities of so many responses can have."""
        slack = _ROUNDING * max(1.0, self.responses)
        for name, sums in self.categories.items():
            if not -slack <= sums.squares <= sums.total + slack <= self.responses + 2 * slack:
                raise ValueError(
                    f"{self.responses:g} probabilities cannot sum to {sums.total:g}, and their squares to "
                    f"{sums.squares:g}, in {name}"
                )

    def __add__(self, other: "Arm") -> "Arm":
        """The responses of both together, in the categories that both were scored by."""
        if not self.responses or not other.responses:
            return self if self.responses else other
        shared = [name for name in self.categories if name in other.categories]
        sums = {name: self.categories[name] + other.categories[name] for name in shared}
        return Arm(self.responses + other.responses, sums)

    def mean(self, category: Category) -> float:
        """The mean error probability, of one response at least."""
        return self.categories[category].total / self.responses

    def variance(self, category: Category) -> float:
        """Mean of the squares less the square of the mean, as the monitoring rules can compute it; at least 0."""
        return max(0.0, self.categories[category].squares / self.responses - self.mean(category) ** 2)


@dataclass(frozen=True)
class Apart:
    """How far the arms are apart in one category."""

    canary: float
    """Mean error probability."""
    incumbent: float
    """Mean error probability."""
    radius: float | None
    """Half the width of the confidence sequence; None while an arm has fewer than MIN_RESPONSES."""

    @property
    def difference(self) -> float:
        """Above 0: the canary errs more."""
        return self.canary - self.incumbent

    @property
    def low(self) -> float:
        """Not below -1, the least that two probabilities can differ by."""
        return -1.0 if self.radius is None else max(-1.0, self.difference - self.radius)

    @property
    def high(self) -> float:
        """Not above 1."""
        return 1.0 if self.radius is None else min(1.0, self.difference + self.radius)


@dataclass(frozen=True)
class CanaryComparison:
    """What the evidence says of a canary."""

    categories: Mapping[Category, Apart]
    verdict: Verdict
    """`worse`: in some category the whole interval of the difference lies above 0. `no_worse`: in every category it
    lies below MARGIN. Else `undecided`."""
    reason: str
    """Why, in a sentence."""


def compare(canary: Arm, incumbent: Arm, alpha: float = ALPHA, margin: float = MARGIN) -> CanaryComparison:
    """Compare a canary with its incumbent, category by category, in those that both were scored by.

    May be called after any number of responses, any number of times: over all calls together, a canary that is no
    worse is called worse with a probability of `alpha` at most, and so is one called no worse that is worse by
    `margin` or more.
    """
    fewest = min(canary.responses, incumbent.responses)
    names = [name for name in canary.categories if name in incumbent.categories] if fewest else []
    apart = {
        name: Apart(
            canary.mean(name),
            incumbent.mean(name),
            _radius(canary, incumbent, name, alpha / len(names)) if fewest >= MIN_RESPONSES else None,
        )
        for name in names
    }
    return CanaryComparison(apart, *_verdict(apart, canary.responses, incumbent.responses, margin))


def half_width(responses: float, variance: float, alpha: float, narrowest_at: float = N_STAR) -> float:
    """Half the width of a mean's confidence sequence of level `alpha` after so many responses of that variance."""
    r2 = rho_squared(alpha, narrowest_at)
    grown = responses * r2 + 1
    return sqrt(variance) * sqrt(2 * grown / (responses**2 * r2) * log(sqrt(grown) / alpha))


def rho_squared(alpha: float, narrowest_at: float = N_STAR) -> float:
    """The tuning that makes the sequence next to narrowest at so many responses (ibid., appendix B.2).

    With `L = -2 log(alpha)` and `u = n r2` the narrowest has `u = L + log(1 + u)`, of which `L + log(1 + L)` is the
    first approximation.
    """
    logs = -2 * log(alpha)
    return (logs + log(logs + 1)) / narrowest_at


def _radius(canary: Arm, incumbent: Arm, category: Category, alpha: float) -> float:
    both = canary.responses + incumbent.responses
    of_difference = canary.variance(category) / canary.responses + incumbent.variance(category) / incumbent.responses
    return half_width(both, both * of_difference, alpha)


def _verdict(apart: Mapping[Category, Apart], canary: float, incumbent: float, margin: float) -> tuple[Verdict, str]:
    if min(canary, incumbent) < MIN_RESPONSES:
        return "undecided", (
            f"The canary has {canary:.0f} scored responses and its incumbent {incumbent:.0f}; nothing is said before "
            f"both have {MIN_RESPONSES}."
        )
    if not apart:
        return "undecided", "No category of the canary's responses was scored for the incumbent's as well."
    name, worst = max(apart.items(), key=lambda item: item[1].low)
    if worst.low > 0:
        return "worse", (
            f"In {name} the canary's mean error probability is {worst.difference:.3f} above the incumbent's, and "
            f"{worst.low:.3f} at least."
        )
    name, widest = max(apart.items(), key=lambda item: item[1].high)
    if widest.high < margin:
        return "no_worse", (
            f"In no category is the canary's mean error probability above the incumbent's by {margin:g}: "
            f"{widest.high:.3f} at most, in {name}."
        )
    return "undecided", (
        f"In {name} the difference may still be anything from {widest.low:+.3f} to {widest.high:+.3f}; it is worse "
        f"when that lies above 0, and no worse when all categories' lie below {margin:g}."
    )
