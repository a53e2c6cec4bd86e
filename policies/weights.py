"""Reward weights: a non-negative number for each category, normalised to sum to one."""

import math
from collections.abc import Iterable

from pydantic import ConfigDict, RootModel, field_validator

from rewards.categories import BUILT_IN, Category
from rewards.errors import FgctlError

SAME = 1e-3
"""Weights that differ by less than this in every category are the same."""

BALANCED = "balanced"
"""The region of weights where no category has more than half."""


class Weights(RootModel[dict[Category, float]]):
    """How much each category counts, by name. Always normalised: the values sum to one.

    The built-in categories are always there, first; any other that is missing has weight 0.
    """

    model_config = ConfigDict(frozen=True)

    @field_validator("root")
    @classmethod
    def _normalised(cls, weights: dict[Category, float]) -> dict[Category, float]:
        values = dict.fromkeys(BUILT_IN, 0.0) | weights
        if not all(math.isfinite(value) and value >= 0 for value in values.values()):
            raise ValueError("weights must be finite and not negative")
        total = sum(values.values())
        if total <= 0 or not math.isfinite(total):
            raise ValueError("at least one weight must be above zero")
        if math.isclose(total, 1.0, abs_tol=1e-9):
            return values
        return {name: value / total for name, value in values.items()}

    @classmethod
    def parse(cls, text: str, categories: Iterable[Category] = BUILT_IN) -> "Weights":
        """Read weights as on the command line: `w1,w2,w3` for the built-in categories, or `name=w,...` for any.

        `categories` are those that may be named. Raises FgctlError unless the numbers are finite and non-negative,
        their sum is positive, and no category is named twice.
        """
        allowed = list(categories)
        advice = (
            f"give three numbers for {_listed(BUILT_IN)}, for example 0.3,0.5,0.2, "
            f"or name some of {_listed(allowed)}, for example relevance=0.3,factuality=0.7"
        )
        quoted = repr(text[:60])
        parts = [part.rpartition("=") for part in text.split(",")]
        names = [name.strip() for name, _, _ in parts]
        try:
            values = [float(value) for _, _, value in parts]
        except ValueError:
            raise FgctlError(f"Weights {quoted} are not numbers; {advice}.") from None
        if not any(names):
            if len(values) != len(BUILT_IN):
                raise FgctlError(f"Weights {quoted} are {len(values)} numbers; {advice}.")
            names = list(BUILT_IN)
        elif unknown := [name for name in names if name not in allowed]:
            raise FgctlError(f"Weights {quoted} name {unknown[0]!r}, which is not a category in use; {advice}.")
        elif len(set(names)) < len(names):
            raise FgctlError(f"Weights {quoted} name a category twice; {advice}.")
        if not all(math.isfinite(v) and v >= 0 for v in values) or not 0 < sum(values) < math.inf:
            raise FgctlError(f"Weights {quoted} must not be negative, infinite or all zero; {advice}.")
        return cls(dict(zip(names, values, strict=True)))

    def __getitem__(self, category: Category) -> float:
        return self.root.get(category, 0.0)

    def __str__(self) -> str:
        """The form that `parse` reads, with three digits."""
        if self.root.keys() == BUILT_IN.keys():
            return ",".join(f"{value:.3f}" for value in self.root.values())
        return ",".join(f"{name}={value:.3f}" for name, value in self.root.items())

    def as_dict(self) -> dict[Category, float]:
        """The weights by category name."""
        return dict(self.root)

    @property
    def region(self) -> Category:
        """The category with more than half of the weight, or BALANCED."""
        heaviest = max(self.root, key=self.__getitem__)
        return heaviest if self[heaviest] > 0.5 else BALANCED

    def same_as(self, other: "Weights | None") -> bool:
        """Whether the weights differ by less than SAME in every category; never the same as None."""
        if other is None:
            return False
        return all(abs(self[name] - other[name]) < SAME for name in self.root | other.root)

    def check(self, categories: Iterable[Category]) -> None:
        """Raises FgctlError when a category with a weight above zero is not among those in use."""
        in_use = list(categories)
        for name, value in self.root.items():
            if value > 0 and name not in in_use:
                raise FgctlError(
                    f"The weights {self} need the category {name}, and only {_listed(in_use)} are in use; "
                    f"set FGCTL_CATEGORIES to the file that describes it."
                )


def _listed(names: Iterable[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
