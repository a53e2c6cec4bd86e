"""The answers on which people differ, for them to talk about; and alpha in words."""

from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Any

from rewards.categories import BUILT_IN
from rewards.segmentation import segments
from service.feedback.agreement.ratings import Rating, error_mask, shared

MOST_DIFFERING = 50
"""Answers listed; more than people talk through."""
RELIABLE, TENTATIVE = 0.8, 0.667
"""Krippendorff (2004), "Reliability in content analysis": from 0.8 on data are reliable; from 0.667 on they allow
tentative conclusions."""
ENOUGH_ANSWERS = 20
"""With fewer shared answers, alpha may be far from its value on many."""


def verdict(alpha: float | None, answers: int) -> str:
    """What people's alpha on so many shared answers means for using their annotations."""
    if alpha is None:
        return "Too little to say: let two people annotate more of the same answers."
    if alpha >= RELIABLE:
        meaning = "Enough: people agree, and models may be fitted on this."
    elif alpha >= TENTATIVE:
        meaning = "Nearly enough: fit models on this with care, and talk about the answers below."
    elif alpha > 0:
        meaning = "Not enough: people understand the category differently. Talk about the answers below first."
    else:
        meaning = (
            "Not enough, and no better than chance: people mark different things, or somebody has misunderstood the "
            "labels. Talk before anybody annotates more."
        )
    return meaning if answers >= ENOUGH_ANSWERS else f"{meaning} (Only {answers} shared: let two people annotate more.)"


def differing(ratings: Iterable[Rating]) -> list[dict[str, Any]]:
    """The shared answers on which people differ in some category, those that they differ on most first.

    `share` is the share of segments, over all categories and pairs of people, on which two people differ.
    """
    answers: list[dict[str, Any]] = []
    for group in shared(ratings):
        shares = {category: _share(group, category) for category in BUILT_IN}
        differs = [category for category, (different, _) in shares.items() if different]
        if differs:
            share = sum(different for different, _ in shares.values()) / sum(units for _, units in shares.values())
            answers.append(
                {
                    "response_id": group[0].response_id,
                    "question": group[0].question,
                    "share": round(share, 4),
                    "categories": differs,
                    "people": {rating.annotator: _marks(rating) for rating in group},
                }
            )
    return sorted(answers, key=lambda answer: answer["share"], reverse=True)[:MOST_DIFFERING]


def _share(group: Sequence[Rating], category: str) -> tuple[int, int]:
    """On how many segments two people differ, and of how many."""
    pieces = segments(group[0].text, BUILT_IN[category].density)
    masks = [error_mask(rating, category, pieces) for rating in group]
    pairs = list(combinations(masks, 2))
    return sum(int((first != second).sum()) for first, second in pairs), len(pieces) * len(pairs)


def _marks(rating: Rating) -> list[str]:
    """What a person marked, in words."""
    marks = [f"{label}: “{rating.text[start:end]}”" for label, start, end in rating.spans]
    return [*marks, *(["information is missing"] if rating.missing else [])]
