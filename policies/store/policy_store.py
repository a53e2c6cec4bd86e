"""The store as a whole: stored versions, the profiles that serve them, promotions, rollbacks and canaries."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal

from policies.names import SFT, no_such_profile
from policies.promotion.comparison import Difference, objection
from policies.promotion.profile_set import PROFILE_SET, set_objection
from policies.store.ledger import LEDGER, Ledger, Promotion, in_effect, promoter, trail
from policies.store.location import locate
from policies.store.objects import Changed
from policies.store.profiles import PROFILES, CanaryShare, Profile, ProfilesFile
from policies.store.versions import ATTEMPTS, VersionStore, now
from rewards.errors import FgctlError


class PolicyStore(VersionStore):
    """Reads and writes the versions, profiles and promotions under one root."""

    def __init__(self, root: Path | str | None = None) -> None:
        """`root`, a directory or a URL, defaults to $FGCTL_POLICIES, else to the store that ships with fgctl.

        Raises StoreAway for a URL that names no store.
        """
        super().__init__(locate(root))
        self._profiles = ProfilesFile(self.root / PROFILES, self._replace)
        self._ledger = Ledger(self.root / LEDGER, None if self._origin is None else self._replace)

    def profiles(self) -> dict[str, Profile]:
        """Every profile, the supervised parent included. Raises BrokenPolicy."""
        self._refresh()
        return self._profiles.read()

    def signature(self) -> str | None:
        """What changes with `profiles.toml`, or with its place; None while there is none, as in a replacement."""
        if self._origin is not None:
            return self._origin.signature()
        try:
            stat = self._profiles.path.stat()
        except OSError:
            return None
        return f"{stat.st_dev} {stat.st_ino} {stat.st_mtime_ns} {stat.st_size}"

    def profile(self, name: str) -> Profile:
        """One profile. Raises FgctlError naming those that exist."""
        self._refresh()
        return self._named(name)

    def promotions(self, profile: str) -> list[Promotion]:
        """A profile's promotions and rollbacks, oldest first, without those that a kill interrupted."""
        self._refresh()
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

        def change() -> Promotion | None:
            previous = self._current(profile)
            if previous == version:
                return None
            difference, refusal = self._objection(profile, version, previous)
            if refusal and not force:
                raise FgctlError(refusal)
            return self._switch(profile, version, previous, "promote", reason, difference, refusal, served)

        return self._atomically(change)

    def promote_set(self, versions: Mapping[str, str], reason: str = "", force: bool = False) -> list[Promotion]:
        """Make stored versions current, one for each of PROFILE_SET, all in one step; those that already are stay.

        Raises BrokenPolicy for a version that cannot be used, and FgctlError for other profiles, when the three are no
        choice (policies.promotion.profile_set), or when one of them may not replace its predecessor as in `promote`;
        `force` overrides the last two.
        """
        if set(versions) != set(PROFILE_SET):
            raise FgctlError(
                f"A set has a version of each of {', '.join(PROFILE_SET)}; name them as "
                f"{' '.join(f'{name}=VERSION' for name in PROFILE_SET)}."
            )
        for profile, version in versions.items():
            self.usable(profile, version)

        def change() -> list[Promotion]:
            no_choice = set_objection([self.manifest(name, versions[name]) for name in PROFILE_SET])
            changes = []
            for profile in PROFILE_SET:
                version, previous = versions[profile], self._current(profile)
                if previous == version:
                    continue
                difference, refusal = self._objection(profile, version, previous)
                refusals = [sentence for sentence in (no_choice, refusal) if sentence]
                if refusals and not force:
                    raise FgctlError(refusals[0])
                changes.append((profile, version, previous, difference, " ".join(refusals) or None))
            promotions = [
                self._enter(profile, version, previous, "promote", reason, difference, overridden)
                for profile, version, previous, difference, overridden in changes
            ]
            self._serve(promotions)
            return promotions

        return self._atomically(change)

    def _objection(self, profile: str, version: str, previous: str | None) -> tuple[Difference | None, str | None]:
        """As policies.promotion.comparison.objection; nothing against the first version, or the supervised parent."""
        current = self.intact(profile, previous) if previous else None
        if current is None or profile == SFT:
            return None, None
        return objection(self.manifest(profile, version), current)

    def rollback(self, profile: str, reason: str = "") -> Promotion:
        """Make the version current that was current before the last promotion; a second rollback goes further back.

        Raises FgctlError when the ledger names none, and BrokenPolicy when that version cannot be used any more.
        """

        def change() -> Promotion:
            current = self._named(profile).version
            earlier = trail(self._ledger.of(profile), current)[:-1]
            if not earlier:
                raise FgctlError(
                    f"The ledger names no version of {profile} before {current}; promote one that "
                    "`fgctl policies list` shows."
                )
            self.usable(profile, earlier[-1])
            return self._switch(profile, earlier[-1], current, "rollback", reason)

        return self._atomically(change)

    def set_canary(self, profile: str, version: str | None, share: float = 0.0) -> None:
        """Give a stored version a share of its profile's traffic, between 0 and 1; None ends that.

        Raises BrokenPolicy for a version that cannot be used, FgctlError for the current one or an invalid share.
        """
        if version is not None:
            self.usable(profile, version)
            if not 0 < share < 1:
                raise FgctlError(f"A canary's share is between 0 and 1, not {share}; promote a version to give it all.")

        def change() -> None:
            if version == self._named(profile).version:
                raise FgctlError(f"{version} is already the current version of {profile}; try another one as canary.")
            canary = None if version is None else CanaryShare(version=version, share=share)
            self._profiles.set_canary(profile, canary)

        self._atomically(change)

    def begin_like(self, other: "PolicyStore") -> bool:
        """Take over another store's profiles and ledger, unless this one has profiles. Returns whether it did."""
        if not other.profiles():
            return False

        def change() -> bool:
            if self._profiles.read():
                return False
            for name in (LEDGER, PROFILES):
                if (other.root / name).is_file():
                    self._replace(self.root / name, (other.root / name).read_text(encoding="utf-8"))
            return True

        return self._atomically(change)

    def _refresh(self) -> None:
        if self._origin is not None:
            self._origin.refresh()

    def _named(self, profile: str) -> Profile:
        """A profile by the file as it was last read. Raises FgctlError naming those that exist."""
        profiles = self._profiles.read()
        if profile not in profiles:
            raise FgctlError(no_such_profile(profile, profiles))
        return profiles[profile]

    def _current(self, profile: str) -> str | None:
        entry = self._profiles.read().get(profile)
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
        promotion = self._enter(profile, version, previous, action, reason, difference, overridden)
        self._serve([promotion], served)
        return promotion

    def _serve(self, promotions: list[Promotion], served: bool | None = None) -> None:
        """Name in `profiles.toml` what the ledger's newest lines promote, or take these lines back."""
        if not promotions:
            return
        versions = {p.profile: (p.version, self.manifest(p.profile, p.version).weights) for p in promotions}
        try:
            self._profiles.set_versions(versions, served)
        except Changed:
            for promotion in promotions:
                self._withdraw(promotion)
            raise

    def _enter(
        self,
        profile: str,
        version: str,
        previous: str | None,
        action: Literal["promote", "rollback"],
        reason: str,
        difference: Difference | None,
        overridden: str | None,
    ) -> Promotion:
        """Append a line to the ledger; it counts once `profiles.toml` names the version."""
        promotion = Promotion(
            action=action,
            profile=profile,
            version=version,
            previous=previous,
            who=promoter(),
            when=now(),
            reason=reason,
            scores=self.manifest(profile, version).figures,
            difference=difference,
            overridden=overridden,
        )
        self._ledger.append(promotion)
        return promotion

    def _withdraw(self, promotion: Promotion) -> None:
        """Remove a promotion that came too late from the ledger of a store behind a URL, where others write, too."""
        for _ in range(ATTEMPTS):
            self._refresh()
            with suppress(Changed):
                self._ledger.withdraw(promotion)
                return
