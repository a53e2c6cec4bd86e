"""The description of a stored policy: `policy.json`, and the README for people."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from policies.weights import Weights

SERVED = "served"
"""The key of the scores of answers sampled as the profile is served; the other scores are those of greedy answers."""


class Named(BaseModel):
    """Something identified by name and content."""

    model_config = ConfigDict(frozen=True)

    name: str
    digest: str


class Versioned(BaseModel):
    """Something identified by version and content."""

    model_config = ConfigDict(frozen=True)

    version: str
    digest: str


class SeenFeedback(BaseModel):
    """The feedback that reward models were fitted on."""

    model_config = ConfigDict(frozen=True)

    data: tuple[Named, ...]
    questions: int
    annotations: int | None


class UsedRewards(Versioned):
    """The reward models that shaped a policy."""

    feedback: SeenFeedback | None = None
    """None for policies that were trained before it was recorded."""


class PolicyManifest(BaseModel):
    """`policy.json`: what a policy is, where it came from and how it scored."""

    model_config = ConfigDict(frozen=True)

    profile: str
    version: str
    digest: str | None = None
    """The adapter's whole digest, which begins with the version; None where it was stored before this was recorded."""
    weights: Weights | None
    """None for the supervised parent, which is trained without rewards."""
    base: Named
    parent: Versioned | None
    recipe: dict[str, Any]
    data: tuple[Named, ...]
    rewards: UsedRewards | None
    steps: int
    episodes: int
    scores: dict[str, Any]
    created: datetime
    fgctl: str

    @property
    def greedy_scores(self) -> dict[str, Any]:
        """The scores of greedy answers, which promotions compare; empty when only answers as served were evaluated."""
        return {name: value for name, value in self.scores.items() if name != SERVED}

    @property
    def figures(self) -> dict[str, Any]:
        """The scores without the values by question and the distributions, for tables."""
        figures = {name: value for name, value in self.scores.items() if name != "per_question"}
        if SERVED in figures:
            figures[SERVED] = {k: v for k, v in figures[SERVED].items() if k not in ("score_ratio", "input_ratio")}
        return figures

    def same_weights_as(self, other: "PolicyManifest") -> bool:
        """Whether both were trained for the same weights, or both without weights."""
        return self.weights.same_as(other.weights) if self.weights else other.weights is None


def card(manifest: PolicyManifest) -> str:
    """The `README.md` beside the adapter."""
    by = (
        ", ".join(f"{name} {value:.3f}" for name, value in manifest.weights.as_dict().items())
        if manifest.weights
        else ""
    )
    length = f"{manifest.steps} steps, {manifest.episodes} episodes, "
    if "mixture" in manifest.recipe:
        anchors = ", ".join(f"{a['profile']}@{a['version']}" for a in manifest.recipe["mixture"]["anchors"])
        origin, length = f"The exact mixture of {anchors} for the weights {by}.", ""
    elif by:
        origin = f"Trained by PPO on dense, per-category rewards weighted {by}."
    else:
        origin = "Supervised fine-tuning only; the parent of the profiles."
    return (
        f"# {manifest.profile} {manifest.version}\n\n{origin}\n\n"
        f"A LoRA adapter for {manifest.base.name}. {length}"
        f"{manifest.created:%Y-%m-%d}. `policy.json` has its lineage and scores.\n"
    )
