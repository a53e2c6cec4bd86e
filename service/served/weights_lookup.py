"""Which mixture of trained policies serves which weights."""

import asyncio
from collections.abc import Sequence

from policies.mixing import Anchor, Mixture, mixture_for
from policies.mixture_weights import on_grid
from policies.weights import Weights
from rewards.errors import FgctlError
from service.errors import NotFound

_REMEMBERED = 10_000
"""Weights whose mixtures are remembered."""


class WeightsLookup:
    """The mixture for weights, among the anchors of one state of the store."""

    def __init__(self, anchors: Sequence[Anchor], grid: int) -> None:
        """`grid` is the number of steps from weight 0 to 1."""
        self._anchors = anchors
        self._grid = grid
        self._mixtures: dict[tuple[tuple[str, float], ...], Mixture] = {}

    async def mixture(self, weights: Weights) -> Mixture:
        """The mixture for weights. Raises NotFound where none can be made.

        Weights of an anchor are served by the anchor alone; any others move to the grid, so that there are few.
        """
        key = tuple(weights.as_dict().items())
        if key not in self._mixtures:
            mixture = await asyncio.to_thread(self._compute, weights)
            if len(self._mixtures) >= _REMEMBERED:
                self._mixtures.clear()
            self._mixtures[key] = mixture
        return self._mixtures[key]

    def _compute(self, weights: Weights) -> Mixture:
        trained = next((anchor for anchor in self._anchors if anchor.weights.same_as(weights)), None)
        if trained is not None:
            return Mixture(trained.weights, ((trained, 1.0),))
        values = weights.as_dict()
        nearest = Weights(dict(zip(values, on_grid(list(values.values()), self._grid), strict=True)))
        try:
            return mixture_for(nearest, self._anchors)
        except FgctlError as error:
            raise NotFound(str(error), "weights") from None
