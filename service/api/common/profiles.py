"""The served profiles as JSON."""

from typing import Any

from policies.names import DEFAULT_PROFILE
from service.domain.policy import ServedPolicy, rounded
from service.domain.roster import Roster


def profiles_json(roster: Roster) -> dict[str, Any]:
    """The profiles that can be asked for, with their policies, and those that cannot be served, with the reason."""
    return {
        "default": DEFAULT_PROFILE,
        "profiles": [_profile_json(roster, name, policy) for name, policy in roster.served.items()],
        "broken": [{"profile": name, "reason": reason} for name, reason in roster.broken.items()],
        "refused": [{"profile": name, "reason": reason} for name, reason in roster.refused.items()],
    }


def _profile_json(roster: Roster, name: str, policy: ServedPolicy) -> dict[str, Any]:
    profile = {
        "profile": policy.profile,
        "policy": {"name": policy.profile, "version": policy.version},
        "weights": rounded(policy.weights),
        "decoding": policy.decoding.model_dump(),
        "scores": policy.manifest.figures,
    }
    canary = roster.canaries.get(name)
    if canary is not None:
        profile["canary"] = {"version": canary.policy.version, "share": canary.share}
    return profile
