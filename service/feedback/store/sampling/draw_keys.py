"""The order in which answers are drawn to be labelled.

Every response has a lot, a random number from 0 to 1. The order `sampled` goes by the lot. The order `error_rate` goes
by the lot divided by the response's rate, within each profile, so that a response of twice the rate is twice as likely
to be drawn (priority sampling, Duffield, Lund & Thorup 2007). An order has reached a level when it has handed out all
responses of smaller keys; a response was drawn if its key is below the level, which has the probability
`rate * level`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

SAMPLED, ERROR_RATE = DRAWING = ("sampled", "error_rate")
"""The orders that draw at random."""


def draw_rate(uncertainty: float) -> float:
    """The rate of a scored response, from 0.5 to 1: the more uncertain the reward models, the more a label tells.

    Half of it is the same for all, so that an answer of which the models are wrongly certain keeps a chance, and counts
    at most twice as much as any other (Zrnic & Candès 2024, section 3.2).
    """
    return (1 + uncertainty) / 2


def draw_key(lot: float, uncertainty: float) -> float:
    """The key of a scored response in the order `error_rate`."""
    return lot / draw_rate(uncertainty)


@dataclass(frozen=True)
class Draw:
    """An answer that an order has handed out."""

    order: str
    profile: str | None
    at: datetime
    level: float
    """Its key."""


class Levels:
    """The levels that the orders have reached since any time."""

    def __init__(self, draws: Iterable[Draw]) -> None:
        self._reached: dict[tuple[str, str | None], list[tuple[datetime, float]]] = {}
        for draw in sorted(draws, key=lambda draw: draw.at, reverse=True):
            profile = draw.profile if draw.order == ERROR_RATE else None
            reached = self._reached.setdefault((draw.order, profile), [])
            reached.append((draw.at, max(draw.level, reached[-1][1] if reached else 0.0)))

    def probability(self, created: datetime, profile: str | None, uncertainty: float) -> float:
        """With what probability a response that was stored then would have been drawn by now, by either order."""
        sampled = self._highest((SAMPLED, None), created)
        for_rate = draw_rate(uncertainty) * self._highest((ERROR_RATE, profile), created)
        return min(1.0, max(sampled, for_rate))

    def _highest(self, order: tuple[str, str | None], since: datetime) -> float:
        """The highest level that the order has reached since a time, 0 if it has drawn nothing."""
        highest = 0.0
        for at, level in self._reached.get(order, ()):
            if at < since:
                break
            highest = level
        return highest
