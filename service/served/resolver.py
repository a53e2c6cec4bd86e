"""The policy for a request: by profile, version or weights. The store can be reloaded while requests run."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from functools import partial
from pathlib import Path

from policies.adapters.base_modules import BaseModules
from policies.base import BaseModel
from policies.manifest import Named
from policies.mixing import MIXTURE, Anchor, Mixture, is_anchor
from policies.names import DEFAULT_PROFILE, no_such_profile
from policies.promotion.sequential import CANARY, INCUMBENT
from policies.store import SFT, BrokenPolicy, Decoding, PolicyStore
from policies.weights import Weights
from rewards.errors import FgctlError
from service.domain.policy import ServedPolicy
from service.domain.roster import Roster
from service.domain.scored import CanaryTrial
from service.domain.selection import Selection
from service.errors import NotFound, ServiceError, Unavailable
from service.served.adapter_cache import AdapterCache, InUse
from service.served.adapter_check import AdapterCheck, AdapterEngine
from service.served.listener import PolicyListener
from service.served.mixture_cache import MixtureCache
from service.served.roster_builder import RosterBuilder
from service.served.weights_lookup import WeightsLookup

logger = logging.getLogger(__name__)


class Resolver:
    """The roster, and what can be asked for beyond it: other stored versions, and mixtures for any weights."""

    def __init__(
        self,
        engine: AdapterEngine,
        store: PolicyStore,
        base: BaseModel,
        mixtures: MixtureCache,
        listener: PolicyListener,
        *,
        resident_adapters: int,
        grid: int,
        modules: BaseModules | None = None,
    ) -> None:
        """`base` is the engine's model, and `modules` are its modules, where they are known. `resident_adapters` beyond
        the roster's stay loaded; `grid` is the number of steps from weight 0 to 1.
        """
        self.roster = Roster()
        self._engine = engine
        self._store = store
        self._mixtures = mixtures
        self._listener = listener
        self._grid = grid
        self._check = AdapterCheck(engine)
        self._in_use = InUse(self._when_idle)
        self._loaded = AdapterCache(self._load, engine.unload, self._in_use, resident_adapters)
        named = Named(name=base.name, digest=base.digest)
        self._builder = RosterBuilder(engine, store, named, modules, self._check, self._loaded.make_room)
        self._lookup = WeightsLookup((), grid)
        self._reloading = asyncio.Lock()
        self._retired: set[int] = set()
        self._unloading: set[asyncio.Task[None]] = set()

    async def resolve(
        self, selection: Selection, caller_id: str, allow: Callable[[], None] = lambda: None
    ) -> ServedPolicy:
        """The policy for a selection; `caller_id` decides about canaries. `hold` it at once.

        `allow` is called before a policy is made or loaded. Raises what `allow` raises, and ServiceError if there is no
        policy.
        """
        if selection.weights is not None:
            return await self._by_weights(selection.weights, allow)
        profile = DEFAULT_PROFILE if selection.profile is None else selection.profile
        if selection.version is None:
            return self._current(profile, caller_id)
        on_roster = self.roster.version(profile, selection.version)
        return on_roster or await self._version(profile, selection.version, allow)

    async def directory(self, profile: str, version: str) -> Path:
        """The directory of a stored version, or of a mixture that was made here. Raises NotFound."""
        find = self._mixtures.path if profile == MIXTURE else partial(self._store.verify, profile)
        try:
            return await asyncio.to_thread(find, version)
        except FgctlError as error:
            raise NotFound(str(error), "version") from None

    def hold(self, policy: ServedPolicy) -> AbstractContextManager[None]:
        """Keep a policy loaded while a request is answered by it."""
        return self._in_use.hold(policy)

    @property
    def in_use(self) -> InUse:
        """The policies that are answering requests now."""
        return self._in_use

    def trial(self, selection: Selection, policy: ServedPolicy) -> CanaryTrial | None:
        """The canary trial that a request is part of: None where no canary runs, or the version was not drawn."""
        canary = self.roster.canaries.get(policy.profile)
        if canary is None or selection.version is not None or selection.weights is not None:
            return None
        incumbent = self.roster.served[policy.profile]
        arm = CANARY if policy.version == canary.policy.version else INCUMBENT
        return CanaryTrial(canary.policy.version, incumbent.version, arm)

    async def reload(self) -> Roster:
        """Read the store again, load and check what is new beside what is served, then switch to it at once.

        What cannot be used is refused: the older version stays where there is one. So it does for a profile that the
        file no longer names, because a file that was cut short looks like that. Requests that are being answered go on
        with the version they began with. Raises BrokenPolicy when `profiles.toml` cannot be read or names no profile
        any more, and EngineGone; nothing changes then.
        """
        async with self._reloading:
            old = self.roster
            new = await self._builder.build(old)
            among = [Anchor(policy.manifest, policy.path) for policy in new.mixable() if is_anchor(policy.manifest)]
            self._lookup = WeightsLookup(among, self._grid)
            self.roster = new
            for reasons in (new.broken, new.refused):
                for name, reason in reasons.items():
                    logger.error("profile %s: %s", name, reason)
            self._listener.policies_available([*new.policies(), *([new.parent] if new.parent else [])])
            self._listener.roster_changed(new, await asyncio.to_thread(_promotion_times, self._store, new))
            staying = {policy.adapter_id for policy in new.policies()}
            for policy in old.policies():
                if policy.adapter_id not in staying:
                    self._listener.policy_retired(policy)
                    self._retire(policy)
            return new

    async def engine_restarted(self) -> None:
        """Load the roster's policies into a new engine, and whatever was promoted while there was none.

        Other policies follow when they are asked for. Raises EngineGone.
        """
        self._loaded.forget()
        for policy in self.roster.policies():
            try:
                await self._engine.load(policy)
            except ServiceError:
                raise
            except Exception:  # the engine raises bare Exception; the others can still be served
                logger.exception("%s could not be loaded again", policy.adapter_name)
                self.roster.drop(policy)
        try:
            await self.reload()
        except BrokenPolicy as error:
            logger.error("the policies were not reloaded: %s", error)

    # By profile

    def _current(self, profile: str, caller_id: str) -> ServedPolicy:
        """A profile's current version, or its canary. Raises NotFound, and Unavailable for a broken profile."""
        roster = self.roster
        if profile == SFT and roster.parent is not None:
            return roster.parent
        if profile in roster.served:
            canary = roster.canaries.get(profile)
            return canary.policy if canary and canary.takes(caller_id) else roster.served[profile]
        if profile in roster.broken:
            raise Unavailable(f"Profile {profile!r} cannot be served now: {roster.broken[profile]}", "profile")
        raise self._no_profile(profile)

    def _no_profile(self, profile: str) -> NotFound:
        return NotFound(no_such_profile(profile, self.roster.served), "profile")

    # By version

    async def _version(self, profile: str, version: str, allow: Callable[[], None]) -> ServedPolicy:
        """A stored version that is not on the roster, loaded when it is first asked for."""

        async def make() -> ServedPolicy:
            try:
                profiles = await asyncio.to_thread(self._store.profiles)
            except BrokenPolicy as error:
                logger.error("the profiles cannot be read: %s", error)
                message = "The policy store cannot be read now; ask for a profile without a version."
                raise Unavailable(message, "profile") from None
            try:
                if profile == SFT or profile not in profiles:
                    raise self._no_profile(profile)
                stored = await asyncio.to_thread(self._store.versions, profile)
                if version not in stored:
                    listed = ", ".join(stored)
                    raise NotFound(f"{profile}@{version[:64]} is not stored; choose one of {listed}.", "profile")
                policy = await self._builder.stored(profile, version, profiles[profile].decoding)
            except ServiceError:
                raise
            except FgctlError as error:
                raise _unusable(f"{profile}@{version}", error, "profile") from None
            self._listener.policies_available([policy])
            return policy

        return await self._loaded.get_or_load(f"{profile}@{version}", make, allow)

    async def _load(self, policy: ServedPolicy) -> None:
        """Load a policy that a request asks for. Raises ServiceError."""
        try:
            await self._check.load(policy)
        except ServiceError:
            raise
        except FgctlError as error:
            raise _unusable(policy.adapter_name, error, "weights" if policy.profile == MIXTURE else "profile") from None

    # By weights

    async def _by_weights(self, weights: Weights, allow: Callable[[], None]) -> ServedPolicy:
        if trained := self.roster.with_weights(weights):
            self._listener.weights_requested("trained")
            return trained
        mixture = await self._lookup.mixture(weights)
        if mixture.anchor is not None:
            self._listener.weights_requested("trained")
            manifest = mixture.anchor.manifest
            on_roster = self.roster.version(manifest.profile, manifest.version)
            return on_roster or await self._version(manifest.profile, manifest.version, allow)
        rank = self._engine.max_rank
        key = f"{MIXTURE} {mixture.key(rank)}"
        resident = self._loaded.get(key)
        self._listener.weights_requested("loaded" if resident is None else "resident")
        if resident is not None:
            self._mixtures.used(mixture, rank)
            return resident
        return await self._loaded.get_or_load(key, lambda: self._mixed(mixture, rank), allow)

    async def _mixed(self, mixture: Mixture, rank: int) -> ServedPolicy:
        try:
            manifest, path, stored = await asyncio.to_thread(self._mixtures.get, mixture, rank)
        except (OSError, FgctlError):
            logger.exception("no mixture for %s", mixture.served)
            raise Unavailable("The policies cannot be mixed now; ask for a profile.", "weights") from None
        if not stored:
            self._listener.mixture_built()
        policy = ServedPolicy(MIXTURE, manifest.version, mixture.served, Decoding(), path, manifest)
        self._listener.policies_available([policy])
        return policy

    # Unloading

    def _retire(self, policy: ServedPolicy) -> None:
        self._retired.add(policy.adapter_id)
        if policy not in self._in_use:
            self._when_idle(policy)

    def _when_idle(self, policy: ServedPolicy) -> None:
        """Unload a retired policy once its last request has ended."""
        if policy.adapter_id in self._retired:
            task = asyncio.get_running_loop().create_task(self._engine.unload(policy))
            self._unloading.add(task)
            task.add_done_callback(self._unloading.discard)


def _unusable(name: str, error: FgctlError, param: str) -> NotFound:
    """An adapter that no retry makes usable, so callers are not told to come back."""
    return NotFound(f"{name} cannot be served: {error}", param)


def _promotion_times(store: PolicyStore, roster: Roster) -> dict[str, datetime]:
    """When each profile's current version was promoted; profiles whose ledger does not say are left out."""
    times = {}
    for name, served in roster.served.items():
        try:
            promotions = store.promotions(name)
        except FgctlError as error:  # a damaged ledger is no reason to serve nothing
            logger.error("%s", error)
            continue
        # While a newer version is refused, the last promotion is not that of the version served.
        if last := next((entry for entry in reversed(promotions) if entry.version == served.version), None):
            times[name] = last.when
    return times
