"""What is said of a stored policy: `policy.json`, and the card that people read."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from policies.weights import Weights

SERVED = "served"
"""Of the scores, the part that was found by the decoding the profile is served by; the rest is by greedy answers."""


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
    """None of policies from before it was recorded."""


class PolicyManifest(BaseModel):
    """`policy.json`: what a policy is, where it came from and how it scored."""

    model_config = ConfigDict(frozen=True)

    profile: str
    version: str
    weights: Weights | None
    """None for the supervised parent, which no reward shaped."""
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
        """The scores by greedy answers: what promotions compare. Empty where it was evaluated only as it is served."""
        return {name: value for name, value in self.scores.items() if name != SERVED}

    @property
    def figures(self) -> dict[str, Any]:
        """The scores without the values by question and the distributions: what is read at a glance."""
        figures = {name: value for name, value in self.scores.items() if name != "per_question"}
        if SERVED in figures:
            figures[SERVED] = {k: v for k, v in figures[SERVED].items() if k not in ("score_ratio", "input_ratio")}
        return figures

    def same_weights_as(self, other: "PolicyManifest") -> bool:
        """Whether both were trained for the same weights, or both for none."""
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
        of = ", ".join(f"{one['profile']}@{one['version']}" for one in manifest.recipe["mixture"]["anchors"])
        shaped, length = f"The exact mixture of {of} for the weights {by}.", ""
    elif by:
        shaped = f"Trained by PPO on dense, per-category rewards weighted {by}."
    else:
        shaped = "Supervised fine-tuning only; the parent of the profiles."
    return (
        f"# {manifest.profile} {manifest.version}\n\n{shaped}\n\n"
        f"A LoRA adapter for {manifest.base.name}. {length}"
        f"{manifest.created:%Y-%m-%d}. `policy.json` has its lineage and scores.\n"
    )
