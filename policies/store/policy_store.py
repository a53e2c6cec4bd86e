"""The store as a whole: stored versions, the profiles that serve them, promotions, rollbacks and canaries."""

from pathlib import Path
from typing import Literal

from policies.names import SFT, no_such_profile
from policies.promotion.comparison import Difference, objection
from policies.store.ledger import LEDGER, Ledger, Promotion, in_effect, promoter, trail
from policies.store.location import locate
from policies.store.profiles import PROFILES, CanaryShare, Profile, ProfilesFile
from policies.store.versions import VersionStore, now
from rewards.errors import FgctlError


class PolicyStore(VersionStore):
    """Reads and writes the versions, profiles and promotions under one root."""

    def __init__(self, root: Path | None = None) -> None:
        """`root` defaults to $FGCTL_POLICIES, else to the store that ships with fgctl."""
        super().__init__(locate(root))
        self._profiles = ProfilesFile(self.root / PROFILES)
        self._ledger = Ledger(self.root / LEDGER)

    def profiles(self) -> dict[str, Profile]:
        """Every profile, the supervised parent included. Raises BrokenPolicy."""
        return self._profiles.read()

    def profile(self, name: str) -> Profile:
        """One profile. Raises FgctlError naming those that exist."""
        profiles = self.profiles()
        if name not in profiles:
            raise FgctlError(no_such_profile(name, profiles))
        return profiles[name]

    def promotions(self, profile: str) -> list[Promotion]:
        """A profile's promotions and rollbacks, oldest first, without those that a kill interrupted."""
        current = self._current(profile)
        return in_effect(self._ledger.of(profile), current)

    def promote(
        self, profile: str, version: str, reason: str = "", force: bool = False, served: bool | None = None
    ) -> Promotion | None:
        """Make a stored version the one its profile serves, and record it; None when it already is.

        `served` says whether users can ask for the profile by name or it is only an anchor of mixtures; None leaves
        that as it is.

        Raises BrokenPolicy for a version that cannot be used, and FgctlError when its scores fall below those of the
        current version or cannot be compared with them (policies.promotion.comparison); `force` overrides the latter,
        and the ledger records that. The supervised parent is never served and not compared.
        """
        self.usable(profile, version)
        with self.lock():
            previous = self._current(profile)
            if previous == version:
                return None
            current = self.intact(profile, previous) if previous else None
            difference, refusal = None, None
            if current and profile != SFT:
                difference, refusal = objection(self.manifest(profile, version), current)
            if refusal and not force:
                raise FgctlError(refusal)
            return self._switch(profile, version, previous, "promote", reason, difference, refusal, served)

    def rollback(self, profile: str, reason: str = "") -> Promotion:
        """Make the version current that was current before the last promotion; a second rollback goes further back.

        Raises FgctlError when the ledger names none, and BrokenPolicy when that version cannot be used any more.
        """
        with self.lock():
            current = self.profile(profile).version
            earlier = trail(self._ledger.of(profile), current)[:-1]
            if not earlier:
                raise FgctlError(
                    f"The ledger names no version of {profile} before {current}; promote one of `fgctl policies list`."
                )
            self.usable(profile, earlier[-1])
            return self._switch(profile, earlier[-1], current, "rollback", reason)

    def set_canary(self, profile: str, version: str | None, share: float = 0.0) -> None:
        """Give a stored version a share of its profile's traffic, between 0 and 1; None ends that.

        Raises BrokenPolicy for a version that cannot be used, FgctlError for the current one or an invalid share.
        """
        if version is not None:
            self.usable(profile, version)
            if not 0 < share < 1:
                raise FgctlError(f"A canary's share is between 0 and 1, not {share}; promote a version to give it all.")
        with self.lock():
            if version == self.profile(profile).version:
                raise FgctlError(f"{version} is already the current version of {profile}; try another one as canary.")
            canary = None if version is None else CanaryShare(version=version, share=share)
            self._profiles.set_canary(profile, canary)

    def _current(self, profile: str) -> str | None:
        entry = self.profiles().get(profile)
        return entry.version if entry else None

    def _switch(
        self,
        profile: str,
        version: str,
        previous: str | None,
        action: Literal["promote", "rollback"],
        reason: str,
        difference: Difference | None = None,
        overridden: str | None = None,
        served: bool | None = None,
    ) -> Promotion:
        """Append to the ledger, then replace `profiles.toml`, which is the moment of the promotion."""
        manifest = self.manifest(profile, version)
        promotion = Promotion(
            action=action,
            profile=profile,
            version=version,
            previous=previous,
            who=promoter(),
            when=now(),
            reason=reason,
            scores=manifest.figures,
            difference=difference,
            overridden=overridden,
        )
        self._ledger.append(promotion)
        self._profiles.set_version(profile, version, manifest.weights, served)
        return promotion
