"""The description of a stored policy: `policy.json`, and the README for people."""

from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from policies.names import SFT
from policies.weights import Weights

SERVED = "served"
"""The key of the scores of answers sampled as the profile is served."""
VALIDATION = "validation"
"""The key of the scores of greedy answers to the validation questions; what has no key of its own are the scores of
greedy answers to the held-out questions."""


class Named(BaseModel):
    """Something identified by name and content."""

    model_config = ConfigDict(frozen=True)

    name: str
    digest: str

    @property
    def short(self) -> str:
        """For messages: the name, which may be a directory, without those around it, and the start of the digest."""
        return f"{Path(self.name).name} ({self.digest[:12]})"


def trunk_label(base: str, parent: str) -> str:
    """The name of a trunk, by those of its base and of its parent's version."""
    return f"{base}+{SFT}@{parent}"


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
    merged: bool = False
    """Of the supervised parent: whether policies are trained on the base with this adapter merged into it (the trunk)
    instead of starting from the adapter."""

    @property
    def on_trunk(self) -> bool:
        """Whether it was trained on a trunk: the base with its parent merged into it."""
        return self.parent is not None and self.base.name.endswith(trunk_label("", self.parent.version))

    @property
    def greedy_scores(self) -> dict[str, Any]:
        """The scores of greedy answers to the held-out questions, which promotions compare; empty if there are none."""
        return {name: value for name, value in self.scores.items() if name not in (SERVED, VALIDATION)}

    @property
    def figures(self) -> dict[str, Any]:
        """The scores without the values by question and the distributions, for tables."""
        figures = {name: value for name, value in self.scores.items() if name != "per_question"}
        if VALIDATION in figures:
            figures[VALIDATION] = {k: v for k, v in figures[VALIDATION].items() if k != "per_question"}
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
        if first := manifest.recipe.get("start_from"):
            origin += f" It began as {first}."
    else:
        origin = "Supervised fine-tuning only; the parent of the profiles."
        if manifest.merged:
            origin += " They are adapters of the trunk: the base with this adapter merged into it."
    return (
        f"# {manifest.profile} {manifest.version}\n\n{origin}\n\n"
        f"A LoRA adapter for {manifest.base.name}. {length}"
        f"{manifest.created:%Y-%m-%d}. `policy.json` has its lineage and scores.\n"
        f"{_figures(manifest.greedy_scores)}"
    )


def _figures(scores: dict[str, Any]) -> str:
    """A table of greedy answers' figures beside those of the reference answers; nothing without scores."""
    rows = [(label, _at(scores, path), _at(scores.get("references", {}), path)) for label, path in _CARD]
    lines = [f"| {label} | {_short(mine)} | {_short(theirs)} |" for label, mine, theirs in rows if mine is not None]
    if not lines:
        return ""
    title = f"Greedy answers to {scores['n']} held-out questions" if "n" in scores else "Greedy answers"
    return "\n".join(
        ["", f"{title}, and the reference answers:", "", "| | policy | references |", "|---|---|---|", *lines, ""]
    )


_CARD = (
    ("words", ("length", "words")),
    ("relevance, share of clean segments", ("clean_rate", "relevance")),
    ("factuality, share of clean segments", ("clean_rate", "factuality")),
    ("completeness, log-odds", ("completeness",)),
    ("reward, by its weights", ("weighted_reward",)),
    ("ROUGE-Lsum", ("rouge_lsum",)),
    ("repetition", ("repetition",)),
    ("words in copied 8-grams", ("copied", "share")),
    ("longest copied run, words", ("copied", "longest")),
    ("the judge's reward", ("judge", "weighted_reward")),
)
"""The figures of a card, and where an evaluation's report has them."""


def _at(report: Any, path: tuple[str, ...]) -> float | None:
    for key in path:
        report = report.get(key) if isinstance(report, dict) else None
    return None if report is None else float(report)


def _short(value: float | None) -> str:
    """Three decimals for small figures, one for large ones."""
    return "" if value is None else f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"
