"""The next roster: what the store's profiles name, checked and loaded beside what is served now."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from policies.adapters.base_modules import BaseModules
from policies.manifest import Named
from policies.store import PROFILES, SFT, BrokenPolicy, Decoding, PolicyStore, Profile
from policies.weights import Weights
from rewards.errors import FgctlError
from service.domain.policy import Canary, ServedPolicy
from service.domain.roster import Roster
from service.errors import EngineFull, ServiceError, Unavailable
from service.served.adapter_check import AdapterCheck, AdapterEngine
from service.served.stored_policy import merged_parent, stored_policy


class RosterBuilder:
    """Checks what the store names. What cannot be used is refused, and its older version stays where there is one."""

    def __init__(
        self,
        engine: AdapterEngine,
        store: PolicyStore,
        base: Named,
        modules: BaseModules | None,
        check: AdapterCheck,
        make_room: Callable[[], Awaitable[None]],
    ) -> None:
        """`modules` are the base's, where they are known. `make_room` unloads an adapter of no roster, or raises
        Unavailable.
        """
        self._engine = engine
        self._store = store
        self._base = base
        self._modules = modules
        self._check = check
        self._make_room = make_room

    async def build(self, old: Roster) -> Roster:
        """The roster by the store as it is now. A profile that `profiles.toml` no longer names stays as it was, because
        a file that was cut short looks like that.

        Raises BrokenPolicy when the file cannot be read or names no profile any more; EngineGone.
        """
        new = Roster()
        profiles = await asyncio.to_thread(self._store.profiles)
        if old.served and not profiles:
            raise BrokenPolicy(f"{PROFILES} names no profile; restore it.")
        for name, profile in profiles.items():
            if name == SFT:
                continue
            if profile.served:
                await self._admit(name, profile, old, new)
            else:
                await self._admit_anchor(name, profile, old, new)
        _keep_unnamed(old, new, profiles)
        new.parent, reason = await asyncio.to_thread(
            merged_parent, self._store, self._base, new.policies(), profiles.get(SFT)
        )
        if reason is not None:
            new.refused[SFT] = reason
        return new

    async def stored(self, name: str, version: str, decoding: Decoding, weights: Weights | None = None) -> ServedPolicy:
        """A stored version that the engine can take. Raises FgctlError."""
        policy = await asyncio.to_thread(
            stored_policy, self._store, self._base, name, version, decoding, weights, self._modules
        )
        if reason := self._engine.why_not_loadable(policy):
            raise FgctlError(reason)
        return policy

    async def _admit(self, name: str, profile: Profile, old: Roster, new: Roster) -> None:
        """Put a profile's policy, and its canary, on the new roster, or say there what is wrong with them."""
        serving = old.served.get(name)
        try:
            new.served[name] = await self._checked(name, profile.version, profile, old, new)
        except ServiceError:  # the engine is gone, which says nothing about the policy
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

    async def _admit_anchor(self, name: str, profile: Profile, old: Roster, new: Roster) -> None:
        """Put a policy that is only mixed on the new roster: checked like the others, but not kept in the engine."""
        mixed = old.anchors.get(name)
        try:
            policy = next((p for p in old.mixable() if (p.profile, p.version) == (name, profile.version)), None)
            if policy is None:
                policy = await self.stored(name, profile.version, profile.decoding)
                await self._load(policy)
                await self._engine.unload(policy)
            new.anchors[name] = policy
        except ServiceError:
            raise
        except FgctlError as error:
            if mixed is None:
                new.refused[name] = f"It is not mixed. {error}"
            else:
                new.anchors[name], new.refused[name] = mixed, f"{mixed.adapter_name} is mixed instead. {error}"

    async def _checked(self, name: str, version: str, profile: Profile, old: Roster, new: Roster) -> ServedPolicy:
        """A version that is loaded and answers differently from the base and the other profiles. Raises FgctlError."""
        weights = profile.weights if version == profile.version else None
        if policy := old.version(name, version):
            # Only its scores may have changed.
            manifest = await asyncio.to_thread(self._store.manifest, name, version)
            return replace(policy, weights=weights or policy.weights, decoding=profile.decoding, manifest=manifest)
        policy = await self.stored(name, version, profile.decoding, weights)
        await self._load(policy, list(new.served.values()))
        return policy

    async def _load(self, policy: ServedPolicy, others: Sequence[ServedPolicy] = ()) -> None:
        """Load a policy and check it, in the place of an idle one if there is no other: of those promoted together,
        none has been unloaded yet.
        """
        try:
            await self._check.load(policy, others)
        except EngineFull as full:
            try:
                await self._make_room()
            except Unavailable:
                raise FgctlError(str(full)) from None
            await self._check.load(policy, others)


def _keep_unnamed(old: Roster, new: Roster, profiles: Mapping[str, Profile]) -> None:
    """Go on serving and mixing the profiles that `profiles.toml` does not name any more."""
    for name in (old.served.keys() | old.anchors.keys()) - profiles.keys():
        if name in old.served:
            new.served[name] = old.served[name]
        else:
            new.anchors[name] = old.anchors[name]
        if name in old.canaries:
            new.canaries[name] = old.canaries[name]
        new.refused[name] = (
            f"{PROFILES} does not name {name} any more, which stays as it was until a restart; restore the entry, or "
            "set `served = false` in it to stop serving the profile."
        )
