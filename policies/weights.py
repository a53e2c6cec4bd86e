"""Reward weights: one non-negative number a category, normalised to sum to one."""

import math
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from rewards.categories import CATEGORIES, Category
from rewards.errors import FgctlError


class Weights(BaseModel):
    """How much each category counts. Always normalised: the values sum to one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    relevance: float
    factuality: float
    completeness: float

    @model_validator(mode="before")
    @classmethod
    def _normalised(cls, data: Any) -> Any:
        if not isinstance(data, Mapping) or set(data) != set(CATEGORIES):
            return data
        values = {name: float(value) for name, value in data.items()}
        if not all(math.isfinite(value) and value >= 0 for value in values.values()):
            raise ValueError("weights must be finite and not negative")
        total = sum(values.values())
        if total <= 0 or not math.isfinite(total):
            raise ValueError("at least one weight must be above zero")
        if math.isclose(total, 1.0, abs_tol=1e-9):
            return values
        return {name: value / total for name, value in values.items()}

    @classmethod
    def parse(cls, text: str) -> "Weights":
        """Read `w1,w2,w3` (relevance, factuality, completeness), as on the command line.

        Raises FgctlError unless there are three finite, non-negative numbers with a positive sum.
        """
        advice = "give three numbers for relevance, factuality and completeness, for example 0.3,0.5,0.2"
        try:
            values = [float(part) for part in text.split(",")]
        except ValueError:
            raise FgctlError(f"Weights {text[:60]!r} are not numbers; {advice}.") from None
        if len(values) != len(CATEGORIES):
            raise FgctlError(f"Weights {text[:60]!r} are {len(values)} numbers; {advice}.")
        if not all(math.isfinite(v) and v >= 0 for v in values) or not 0 < sum(values) < math.inf:
            raise FgctlError(f"Weights {text[:60]!r} must not be negative, infinite or all zero; {advice}.")
        return cls(**dict(zip(CATEGORIES, values, strict=True)))

    def __getitem__(self, category: Category) -> float:
        return float(getattr(self, category))

    def as_dict(self) -> dict[Category, float]:
        """The weights by category name."""
        return {category: self[category] for category in CATEGORIES}
