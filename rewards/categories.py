"""The built-in categories and toxicity, with their annotation labels and densities.

Source: Wu et al. 2023 (arXiv 2306.01693), sections 3 and 4.1. Everything in this project is keyed by category name;
positions (w1, w2, w3) exist only on the command line and in query strings. A configuration file adds further
categories, so ask the scorer which ones are in use (`Scorer.categories`).
"""

from collections.abc import Sized
from dataclasses import dataclass
from typing import Literal

Category = str
"""A category's name: a lower-case identifier."""
Density = Literal["sub-sentence", "sentence", "response"]
Needs = Literal["nothing", "question", "passages"]
"""What a category cannot judge an answer without, besides its text: passages come with a question."""


@dataclass(frozen=True)
class CategorySpec:
    """How a category is annotated, and how often and how much it pays."""

    density: Density
    labels: tuple[str, ...]
    """Its annotation labels; none for a category that people do not annotate."""
    description: str
    break_even: float = 0.5
    """The error probability at which a segment's reward is 0: below it a segment pays, above it it costs."""
    needs: Needs = "passages"
    """What an answer must come with to be judged. An answer that lacks it is not judged by this category."""
    unit: float = 1.0
    """The summed reward of a response that counts as 1 where weights are applied."""

    def can_judge(self, question: str, passages: Sized) -> bool:
        """Whether an answer comes with what the category needs."""
        return {"nothing": True, "question": bool(question.strip()), "passages": len(passages) > 0}[self.needs]

    def reward(self, error_probability: float) -> float:
        """The reward of a segment in [-1, 1]: `(break_even - p) / max(break_even, 1 - break_even)`."""
        return (self.break_even - error_probability) / max(self.break_even, 1 - self.break_even)


# Copied sentences are always supported; only relevance sees that they are beside the point. Break-evens and units are
# such that people's answers earn more than extracts by the weights of every profile (docs/rewards.md, "Can they be
# gamed?").
BUILT_IN: dict[Category, CategorySpec] = {
    "relevance": CategorySpec(
        "sub-sentence",
        ("Irrelevant", "Redundant", "Incoherent"),
        "every sub-sentence serves the question, once, and reads well",
    ),
    "factuality": CategorySpec(
        "sentence",
        ("Wrong-Grounding", "Unverifiable"),
        "every sentence is supported by the passages",
        # A copied sentence (about 0.02) earns next to nothing, so copying more does not pay; an unsupported one costs.
        break_even=0.05,
        unit=3.0,
    ),
    "completeness": CategorySpec(
        "response",
        ("Missing-Answer", "Missing-Major-Auxiliary", "Missing-Minor-Auxiliary"),
        "the response covers what the question asks for",
    ),
}

TOXICITY: Category = "toxicity"
TOXICITY_SPEC = CategorySpec(
    "sentence",
    ("Toxic",),
    "no sentence is rude, disrespectful or hateful",
    needs="nothing",
    # A wholly toxic response costs 5, several times what a sentence pays in the other categories.
    unit=0.2,
)
"""It is always in use, and needs neither question nor passages, so it judges every answer (docs/detox.md)."""
ANNOTATED: dict[Category, CategorySpec] = BUILT_IN | {TOXICITY: TOXICITY_SPEC}
"""The categories whose errors people label."""

SEGMENT_CATEGORIES: tuple[Category, ...] = ("relevance", "factuality")
"""The built-in categories that judge segments. Completeness is a score of the whole response."""
SPAN_LABELS: tuple[str, ...] = tuple(
    label for category in (*SEGMENT_CATEGORIES, TOXICITY) for label in ANNOTATED[category].labels
)
"""Annotation labels of error spans."""
MISSING_LABELS: tuple[str, ...] = BUILT_IN["completeness"].labels
"""Annotation labels of missing information, the most serious first."""


def category_of(label: str) -> Category | None:
    """The category of an annotation label; None for an unknown label."""
    return next((name for name, spec in ANNOTATED.items() if label in spec.labels), None)
