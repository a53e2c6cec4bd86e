"""The policies that requests are answered by: found for what a request selects, and exchanged while requests run."""

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from policies.base import BaseModel
from policies.manifest import Named
from policies.mixing import MIXTURE, Anchor, Mixture, anchors, mixture_for
from policies.mixture_weights import on_grid
from policies.names import DEFAULT_PROFILE, no_such_profile
from policies.sequential import CANARY, INCUMBENT
from policies.store import SFT, BrokenPolicy, Decoding, PolicyStore, Profile
from policies.weights import Weights
from rewards.categories import Category
from rewards.errors import FgctlError
from service.domain.scored import Trial
from service.domain.selection import Selection
from service.errors import NotFound, ServiceError, Unavailable
from service.metrics.metrics import Metrics
from service.served.adapter_cache import InUse, Residents
from service.served.mixture_cache import MixtureCache
from service.served.roster import Canary, Roster, ServedPolicy, stored_policy

logger = logging.getLogger(__name__)

SAME_LOGPROB = 1e-4
"""Two adapters whose log-probabilities differ by less than this on every token (nats) answer alike."""


class AdapterEngine(Protocol):
    """What the catalogue needs of the engine."""

    async def load(self, policy: ServedPolicy) -> None:
        """Make an adapter resident."""

    async def unload(self, policy: ServedPolicy) -> None:
        """Give up an adapter."""

    @property
    def max_rank(self) -> int:
        """The largest rank it takes."""

    def misfit(self, policy: ServedPolicy) -> str | None:
        """Why it cannot take an adapter, if it cannot."""

    async def probe(self, policy: ServedPolicy | None) -> list[float]:
        """Log-probabilities of a fixed text, by the base for None."""


class Catalogue:
    """The roster, and what can be asked for beyond it: other stored versions, and mixtures for any weights."""

    def __init__(
        self,
        engine: AdapterEngine,
        store: PolicyStore,
        base: BaseModel,
        categories: Collection[Category],
        metrics: Metrics,
        mixtures: MixtureCache,
        *,
        residents: int,
        grid: int,
    ) -> None:
        """`categories` are those that responses are judged by.

        `residents` is how many adapters beyond the roster's stay loaded, `grid` the steps from weight 0 to 1.
        """
        self.roster = Roster()
        self._engine = engine
        self._store = store
        self._base = Named(name=base.name, digest=base.digest)
        self._categories = categories
        self._metrics = metrics
        self._mixtures = mixtures
        self._grid = grid
        self._in_use = InUse(self._when_idle)
        self._residents = Residents(self._load_for_request, engine.unload, self._in_use, residents)
        self._anchors: tuple[Anchor, ...] = ()
        self._found: dict[tuple[tuple[str, float], ...], Mixture] = {}
        self._answers: dict[str, Sequence[float]] = {}
        self._reloading = asyncio.Lock()
        self._retired: set[int] = set()
        self._unloading: set[asyncio.Task[None]] = set()

    def using(self, policy: ServedPolicy) -> AbstractContextManager[None]:
        """Keep a policy loaded while a request is answered by it."""
        return self._in_use.hold(policy)

    async def choose(self, selection: Selection, caller: str) -> ServedPolicy:
        """The policy for a selection; `caller` decides who gets a canary. Raises ServiceError where there is none."""
        if selection.weights is not None:
            return await self._for_weights(selection.weights)
        profile = DEFAULT_PROFILE if selection.profile is None else selection.profile
        if selection.version is None:
            return self.roster.choose(profile, caller)
        return self.roster.version(profile, selection.version) or await self._version(profile, selection.version)

    def trial(self, selection: Selection, policy: ServedPolicy) -> Trial | None:
        """Where a policy was drawn between a canary and its incumbent: the canary, and which of them it is."""
        canary = self.roster.canaries.get(policy.profile)
        if canary is None or selection.version is not None or selection.weights is not None:
            return None
        incumbent = self.roster.served[policy.profile]
        arm = CANARY if policy.version == canary.policy.version else INCUMBENT
        return Trial(canary.policy.version, incumbent.version, arm)

    async def reload(self) -> Roster:
        """Read the store again, load and check what is new beside what is served, then switch to it at once.

        What cannot be used is refused: the older version stays where there is one. Requests that are being answered go
        on with the version they began with. Raises BrokenPolicy when `profiles.toml` cannot be read, and EngineGone;
        nothing changes then.
        """
        async with self._reloading:
            old, new = self.roster, Roster()
            profiles = await asyncio.to_thread(self._store.profiles)
            for name, profile in profiles.items():
                if name != SFT and profile.served:
                    await self._admit(name, profile, old, new)
            self._anchors = await asyncio.to_thread(anchors, self._store, self._base.digest)
            self._found = {}
            self.roster = new
            for reasons in (new.broken, new.refused):
                for name, reason in reasons.items():
                    logger.error("profile %s: %s", name, reason)
            self._metrics.announce(new.policies(), self._categories)
            self._metrics.quality.announce_trials(new, self._categories)
            self._metrics.versions.show(new, await asyncio.to_thread(_promoted, self._store, new))
            staying = {policy.adapter_id for policy in new.policies()}
            for policy in old.policies():
                if policy.adapter_id not in staying:
                    self._metrics.quality.forget_baseline(policy.profile, policy.label)
                    self._retire(policy)
            return new

    async def engine_restarted(self) -> None:
        """Load the roster's policies into a new engine, and what was promoted while there was none.

        The others follow when they are asked for. Raises what the engine says of a policy that it had before.
        """
        self._residents.forget()
        for policy in self.roster.policies():
            await self._engine.load(policy)
        try:
            await self.reload()
        except BrokenPolicy as error:
            logger.error("the policies were not reloaded: %s", error)

    async def _admit(self, name: str, profile: Profile, old: Roster, new: Roster) -> None:
        """Put a profile's policy, and its canary, into the new roster, or say there what is wrong with them."""
        serving = old.served.get(name)
        try:
            new.served[name] = await self._checked(name, profile.version, profile, old, new)
        except ServiceError:  # the engine is gone, which says nothing of the policy
            raise
        except FgctlError as error:
            if serving is None:
                new.broken[name] = str(error)
                return
            new.served[name], new.refused[name] = serving, f"{serving.adapter_name} is served instead. {error}"
        if profile.canary is not None:
            try:
                policy = await self._checked(name, profile.canary.version, profile, old, new)
            except ServiceError:
                raise
            except FgctlError as error:
                new.refused[name] = f"The canary {name}@{profile.canary.version} gets no traffic. {error}"
            else:
                new.canaries[name] = Canary(policy, profile.canary.share)

    async def _checked(self, name: str, version: str, profile: Profile, old: Roster, new: Roster) -> ServedPolicy:
        """A version that is loaded and answers differently from the base and the other profiles. Raises FgctlError."""
        weights = profile.weights if version == profile.version else None
        if known := old.version(name, version):
            # A version's scores are all that may have changed.
            manifest = await asyncio.to_thread(self._store.manifest, name, version)
            return replace(known, weights=weights or known.weights, decoding=profile.decoding, manifest=manifest)
        policy = await self._stored(name, version, profile.decoding, weights)
        said = self._answers[policy.adapter_name] = await self._load(policy)
        others = {f"profile {other.profile}": self._answers[other.adapter_name] for other in new.served.values()}
        check_apart(policy, said, others)
        return policy

    async def _stored(
        self, name: str, version: str, decoding: Decoding, weights: Weights | None = None
    ) -> ServedPolicy:
        """A stored version that the engine can take. Raises FgctlError."""
        policy = await asyncio.to_thread(stored_policy, self._store, self._base, name, version, decoding, weights)
        if misfit := self._engine.misfit(policy):
            raise FgctlError(misfit)
        return policy

    async def _load(self, policy: ServedPolicy) -> Sequence[float]:
        """Load an adapter and see that it does something; its answers to the probe. Raises FgctlError, and EngineGone.

        A mismatch of module names would make an engine ignore an adapter without a word; this is where it shows.
        """
        try:
            await self._engine.load(policy)
            said = await self._engine.probe(policy)
        except ServiceError:
            raise
        except Exception as error:  # noqa: BLE001  # the engine raises bare Exception; other policies can still be served
            raise FgctlError(f"The engine cannot load {policy.path} ({error}); train it again.") from None
        check_apart(policy, said, {"the base": await self._base_answers()})
        return said

    async def _load_for_request(self, policy: ServedPolicy) -> None:
        """Load what a request asks for. Raises ServiceError."""
        try:
            await self._load(policy)
        except ServiceError:
            raise
        except FgctlError as error:
            raise Unavailable(f"{policy.adapter_name} cannot be served: {error}") from None

    async def _base_answers(self) -> Sequence[float]:
        if "" not in self._answers:
            self._answers[""] = await self._engine.probe(None)
        return self._answers[""]

    async def _version(self, profile: str, version: str) -> ServedPolicy:
        """A stored version that is not current, loaded when it is first asked for."""

        async def make() -> ServedPolicy:
            known = await asyncio.to_thread(self._store.profiles)
            if profile == SFT or profile not in known:
                raise NotFound(no_such_profile(profile, self.roster.served))
            stored = await asyncio.to_thread(self._store.versions, profile)
            if version not in stored:
                raise NotFound(f"{profile}@{version[:64]} is not stored; choose one of {', '.join(stored)}.")
            try:
                policy = await self._stored(profile, version, known[profile].decoding)
            except ServiceError:
                raise
            except FgctlError as error:
                raise Unavailable(f"{profile}@{version} cannot be served: {error}") from None
            self._metrics.announce([policy], self._categories)
            return policy

        return await self._residents.get_or_load(f"{profile}@{version}", make)

    async def _for_weights(self, wanted: Weights) -> ServedPolicy:
        if trained := self.roster.with_weights(wanted):
            self._metrics.traffic.weights_requests.labels("trained").inc()
            return trained
        mixture = await self._mixture_for(wanted)
        if mixture.anchor is not None:
            self._metrics.traffic.weights_requests.labels("trained").inc()
            manifest = mixture.anchor.manifest
            served = self.roster.version(manifest.profile, manifest.version)
            return served or await self._version(manifest.profile, manifest.version)
        rank = self._engine.max_rank
        key = f"{MIXTURE} {mixture.key(rank)}"
        resident = self._residents.get(key)
        if resident is not None:
            self._metrics.traffic.weights_requests.labels("resident").inc()
            return resident
        self._metrics.traffic.weights_requests.labels("loaded").inc()

        async def make() -> ServedPolicy:
            try:
                manifest, path, stored = await asyncio.to_thread(self._mixtures.get, mixture, rank)
            except (OSError, FgctlError) as error:
                logger.exception("no mixture for %s", mixture.served)
                raise Unavailable(
                    f"The policies cannot be mixed now ({error}); ask for a profile.", "weights"
                ) from None
            self._metrics.traffic.mixtures_built.inc(0 if stored else 1)
            policy = ServedPolicy(MIXTURE, manifest.version, mixture.served, Decoding(), path, manifest)
            self._metrics.announce([policy], self._categories)
            return policy

        return await self._residents.get_or_load(key, make)

    async def _mixture_for(self, wanted: Weights) -> Mixture:
        """What to mix for weights; a trained point is itself, any other is moved to the grid, so that they are few."""
        # A reload puts another dictionary in this one's place, so that what is found of old anchors is not kept.
        mixtures, key = self._found, tuple(wanted.as_dict().items())
        if key not in mixtures:
            found = await asyncio.to_thread(self._found_mixture, wanted, self._anchors)
            if len(mixtures) >= _REMEMBERED:
                mixtures.clear()
            mixtures[key] = found
        return mixtures[key]

    def _found_mixture(self, wanted: Weights, among: Sequence[Anchor]) -> Mixture:
        if trained := next((anchor for anchor in among if anchor.weights.same_as(wanted)), None):
            return Mixture(trained.weights, ((trained, 1.0),))
        values = wanted.as_dict()
        near = Weights(dict(zip(values, on_grid(list(values.values()), self._grid), strict=True)))
        try:
            return mixture_for(near, among)
        except FgctlError as error:
            raise Unavailable(str(error), "weights") from None

    def _retire(self, policy: ServedPolicy) -> None:
        self._retired.add(policy.adapter_id)
        if policy not in self._in_use:
            self._when_idle(policy)

    def _when_idle(self, policy: ServedPolicy) -> None:
        """Unload a policy that is served no more, once its last request has ended."""
        if policy.adapter_id in self._retired:
            task = asyncio.get_running_loop().create_task(self._engine.unload(policy))
            self._unloading.add(task)
            task.add_done_callback(self._unloading.discard)


def _promoted(store: PolicyStore, roster: Roster) -> dict[str, datetime]:
    """When each profile's current version was promoted, as far as the ledger says so."""
    found = {}
    for name, served in roster.served.items():
        try:
            promotions = store.promotions(name)
        except FgctlError as error:  # a damaged ledger is no reason to serve nothing
            logger.error("%s", error)
            continue
        # While a newer version is refused, the last line is not the one that is served.
        if last := next((one for one in reversed(promotions) if one.version == served.version), None):
            found[name] = last.when
    return found


_REMEMBERED = 10_000
"""Weights whose mixtures are remembered."""


def check_apart(policy: ServedPolicy, said: Sequence[float], others: Mapping[str, Sequence[float]]) -> None:
    """Raises FgctlError when what a policy said to the probe is just what one of the others said."""
    if twin := next((other for other, theirs in others.items() if same_answers(said, theirs)), None):
        raise FgctlError(f"{policy.adapter_name} answers just like {twin}; train it again.")


def same_answers(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether two probes came from weights that answer alike."""
    return all(abs(a - b) < SAME_LOGPROB for a, b in zip(one, other, strict=True))
