"""The weights that answer a caller's request for a profile: near the profile's, moved by what the caller said.

Nothing but the feedback store is kept: every replica reads the same thumbs and comparisons, and computes the same
weights from them. Between two of them a caller's weights stay the same.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from policies.names import DEFAULT_PROFILE
from policies.weights import Weights
from rewards.categories import TOXICITY, Category, CategorySpec
from rewards.scores import summed_rewards
from service.domain.caller import Caller, kept_caller
from service.domain.policy import ServedPolicy
from service.domain.roster import Roster
from service.domain.selection import Selection
from service.errors import Forbidden, NotFound, ServiceError
from service.feedback.opinions import Opinions
from service.feedback.runtime import FeedbackRuntime

if TYPE_CHECKING:
    import numpy as np

    from policies.preferences.arms import Arms

logger = logging.getLogger(__name__)
FRESH = 10.0
"""Seconds for which what a caller said is not read again: how long new feedback may take to count."""
_MOST_CALLERS = 1000
"""Callers whose opinions are remembered."""


@dataclass(frozen=True)
class LearnedWeights:
    """What is learned of a caller around one profile."""

    profile: str
    around: Weights
    """The profile's own weights."""
    wanted: Weights
    """The expected weights: what the caller seems to want."""
    answers_by: Weights
    """The weights that answer until the caller says more."""


@dataclass
class _Heard:
    """What a caller said when it was last read, and what was learned from it."""

    opinions: Opinions
    at: float
    """By the monotonic clock."""
    learned: "dict[tuple[str, ...], LearnedWeights | None]" = field(default_factory=dict)
    """By the policy and those that can be mixed with it."""


class LearnedPreferences:
    """The learned weights of every caller whose key opts in."""

    def __init__(self, feedback: FeedbackRuntime, categories: Mapping[Category, CategorySpec], grid: int) -> None:
        """`grid` is the number of steps from weight 0 to 1 of mixtures."""
        self._feedback = feedback
        # Whoever wants less toxicity asks a policy for it: that of another parent, which is not mixed with these.
        self._categories = {name: spec for name, spec in categories.items() if name != TOXICITY}
        self._grid = grid
        self._heard: dict[str, _Heard] = {}
        self._arms: dict[tuple[str, ...], Arms] = {}

    async def selection(self, selection: Selection, caller: Caller, roster: Roster) -> Selection:
        """The selection that answers a request: the caller's weights where it asks for a profile and its key opts in.

        A version, or weights, are answered as they are asked for. While the feedback store fails, what it said last
        counts.
        """
        profile = selection.profile or DEFAULT_PROFILE
        policy = roster.served.get(profile)
        if not caller.learns or selection.weights is not None or selection.version is not None or policy is None:
            return selection
        before = self._heard.get(caller.id)
        try:
            heard = await self._hear(caller)
        except ServiceError as error:
            logger.warning("answering without newly learned preferences: %s", error)
            heard = before or _Heard(Opinions(), 0.0)
            self._remember(caller, replace(heard, at=time.monotonic()))  # so that not every request waits for the store
        learned = await self._learned(policy, caller, heard, roster)
        if learned is None or learned.answers_by.same_as(policy.weights):
            return selection
        return replace(selection, profile=None, weights=learned.answers_by)

    async def of(self, caller: Caller, roster: Roster) -> tuple[Opinions, list[LearnedWeights]]:
        """What counts of what a caller said, read anew, and what is learned of it around each profile.

        Both are empty for a caller without a key that opts in. Raises Unavailable and StoreFailed.
        """
        if not _learns(caller):
            return Opinions(), []
        self._heard.pop(caller.id, None)
        heard = await self._hear(caller)
        learned = [await self._learned(policy, caller, heard, roster) for policy in roster.served.values()]
        return heard.opinions, [weights for weights in learned if weights is not None]

    async def forget(self, caller: Caller) -> None:
        """Begin anew for a caller; its feedback stays. Raises Forbidden without a key, NotFound without a store."""
        if kept_caller(caller.id) is None:
            raise Forbidden("Preferences are learned by API key; send the key whose preferences are to be forgotten.")
        await self._feedback.store.forget_opinions(caller.id)
        self._heard.pop(caller.id, None)

    async def _hear(self, caller: Caller) -> _Heard:
        heard = self._heard.get(caller.id)
        if heard is not None and time.monotonic() - heard.at < FRESH:
            return heard
        try:
            opinions = await self._feedback.store.opinions(caller.id)
        except NotFound:  # without a store there is nothing to learn from
            opinions = Opinions()
        heard = _Heard(opinions, time.monotonic())
        self._remember(caller, heard)
        return heard

    def _remember(self, caller: Caller, heard: _Heard) -> None:
        if caller.id not in self._heard and len(self._heard) >= _MOST_CALLERS:
            self._heard.pop(next(iter(self._heard)))
        self._heard[caller.id] = heard

    async def _learned(
        self, policy: ServedPolicy, caller: Caller, heard: _Heard, roster: Roster
    ) -> LearnedWeights | None:
        """None for a profile without weights in the categories that are learned."""
        names = tuple(self._categories)
        if policy.manifest.weights is None or not any(policy.weights[name] for name in names):
            return None
        key = (policy.adapter_name, *(other.adapter_name for other in roster.mixable()))
        if key not in heard.learned:
            arms = await self._arms_around(policy, roster, key)
            # A thousand opinions take some 30 ms.
            heard.learned[key] = await asyncio.to_thread(self._computed, policy, caller.id, heard.opinions, arms)
        return heard.learned[key]

    def _computed(self, policy: ServedPolicy, caller_id: str, opinions: Opinions, arms: "Arms") -> LearnedWeights:
        from policies.preferences.posterior import Feedback, posterior

        names = tuple(self._categories)
        feedback = Feedback.of(
            len(names),
            [(rewards, up) for scored, up in opinions.thumbs if (rewards := self._rewards(scored))],
            _known((self._rewards(better), self._rewards(worse)) for better, worse in opinions.choices),
            _known((self._rewards(a), self._rewards(b)) for a, b in opinions.ties),
        )
        if not len(feedback):
            return LearnedWeights(policy.profile, policy.weights, policy.weights, policy.weights)
        learned = posterior(arms.weights, feedback)
        answering = arms.weights[arms.best(learned.draw(_seed(caller_id, policy.profile, len(feedback))))]

        def named(values: "np.ndarray") -> Weights:
            return Weights(dict(zip(names, map(float, values), strict=True)))

        return LearnedWeights(policy.profile, policy.weights, named(learned.mean), named(answering))

    def _rewards(self, scored: Mapping[str, object]) -> list[float] | None:
        """An answer's reward in each category; None where one has not judged it."""
        rewards = summed_rewards(scored, self._categories)
        return None if rewards is None else list(rewards.values())

    async def _arms_around(self, policy: ServedPolicy, roster: Roster, key: tuple[str, ...]) -> "Arms":
        """The arms around a profile; computed once for each roster, in a thread because that takes a moment."""
        mixable = roster.mixable()
        if key not in self._arms:
            if len(self._arms) > 4 * len(roster.served):
                self._arms.clear()  # those of rosters before
            self._arms[key] = await asyncio.to_thread(_arms, policy, mixable, tuple(self._categories), self._grid)
        return self._arms[key]


def _learns(caller: Caller) -> bool:
    return caller.learns and kept_caller(caller.id) is not None


def _known(
    pairs: Iterable[tuple[list[float] | None, list[float] | None]],
) -> list[tuple[Sequence[float], Sequence[float]]]:
    return [(a, b) for a, b in pairs if a is not None and b is not None]


def _seed(*parts: object) -> int:
    """The same for the same caller, profile and feedback, in every process."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "big")


def _arms(policy: ServedPolicy, mixable: Sequence[ServedPolicy], names: Sequence[Category], grid: int) -> "Arms":
    """The arms around a policy, with what their answers earn if the same reward models have measured every policy."""
    import numpy as np

    from policies.mixture_weights import barycentric
    from policies.preferences.arms import Arms, weights_around

    around = weights_around([policy.weights[name] for name in names], grid)
    measured = [other.manifest.scores for other in mixable]
    rewards = [scores.get("per_question", {}).get("reward", {}) for scores in measured]
    same = len({(scores.get("rewards"), scores.get("questions")) for scores in measured}) == 1
    if not same or not all(of_policy.keys() >= set(names) for of_policy in rewards):
        return Arms(around)
    points = np.array([[other.weights[name] for name in names] for other in mixable])
    means = np.array([[np.mean(of_policy[name]) for name in names] for of_policy in rewards])
    return Arms(around, np.array([barycentric(points, weights) for weights in around]) @ means)
