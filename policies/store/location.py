"""Where a policy store is.

The store that ships with fgctl is `policies/shipped`. It used to be `policies`, beside the code, and scripts may name
that directory still; policies that were trained then may still lie there.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from policies.store.origin import mirror_of
from policies.store.profiles import PROFILES

SHIPPED = Path(__file__).parents[1] / "shipped"
"""The store that ships with fgctl, and the default."""


@dataclass(frozen=True)
class Location:
    """Where a store is."""

    root: Path
    """Has profiles.toml; new versions are stored here."""
    former: Path | None = None
    """Another directory whose versions count as stored, too."""
    url: str | None = None
    """Where the store is if it is not on this machine; `root` is its mirror then."""


def locate(named: Path | str | None) -> Location:
    """The store that a path or a URL names; without one, that of $FGCTL_POLICIES, else the default.

    A directory is a store where it has a profiles.toml. Else its folder `shipped` is, where that has one. The versions
    of the other of the two are found as well.
    """
    named = named or os.environ.get("FGCTL_POLICIES") or None
    if isinstance(named, str) and "://" in named:
        return Location(mirror_of(named), url=named)
    outer = SHIPPED.parent if named is None else Path(named)
    inner = outer / SHIPPED.name
    if not (inner / PROFILES).is_file():
        return Location(inner if named is None else outer)
    return Location(outer, inner) if (outer / PROFILES).exists() else Location(inner, outer)
