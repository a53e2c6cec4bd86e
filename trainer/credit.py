"""Credit placement: each segment's reward goes to the token that completes the segment."""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from policies.control_tokens import decode, special_ids
from policies.weights import Weights
from rewards.categories import Category, CategorySpec
from rewards.scores import CategoryScores, ScoredResponse
from trainer.recipe import Pay

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def token_ends(token_ids: Sequence[int], text: str, tokenizer: "PreTrainedTokenizerBase") -> list[int]:
    """The code-point offset in `text` at which each token ends; special tokens end where the one before them does.

    `text` is the decoding of `token_ids` by policies.control_tokens.decode. Offsets come from tokenising the text once,
    or, where sampling split the same text into other tokens, from the lengths of decoded prefixes.
    """
    special = special_ids(tokenizer)
    following = iter(_plain_ends([token for token in token_ids if token not in special], text, tokenizer))
    result: list[int] = []
    for token in token_ids:
        result.append(next(following) if token not in special else (result[-1] if result else 0))
    return result


def _plain_ends(tokens: Sequence[int], text: str, tokenizer: "PreTrainedTokenizerBase") -> list[int]:
    """Where in `text` tokens that are not special end."""
    if tokenizer.is_fast:
        encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        if list(encoded["input_ids"]) == tokens:
            return [end for _, end in encoded["offset_mapping"]]
    lengths = [len(decode(tokenizer, tokens[: i + 1])) for i in range(len(tokens))]
    lengths[-1:] = [len(text)] if lengths else []
    # Decoded alone, the first bytes of a character can be longer than the character.
    return list(accumulate(reversed(lengths), min))[::-1]


def segment_rewards(scores: CategoryScores, spec: CategorySpec, pay: Pay) -> tuple[float, ...]:
    """The reward of each segment: `calibrated`, in the category's unit, or `sign` (Wu et al. 2023, section 4.2).

    With `sign`, a segment judged an error earns -1 and any other 1; a category that scores the whole response earns the
    score.
    """
    if pay == "calibrated":
        return tuple(reward / spec.unit for reward in scores.rewards)
    if scores.score is not None:
        return (scores.score,) * len(scores.segments)
    return tuple(-1.0 if segment.error else 1.0 for segment in scores.segments)


def place_rewards(
    scored: ScoredResponse,
    ends: Sequence[int],
    categories: Mapping[Category, CategorySpec],
    pay: Pay = "calibrated",
) -> Tensor:
    """Put each segment's reward on the last token of the segment (Wu et al. 2023, section 3.1).

    `ends` are the offsets at which the response's T tokens end. The reward of a sub-sentence or sentence goes to the
    first token that reaches its end, that of the whole response to the last token, often end-of-text. Returns
    float32 [T, categories] in the order of `categories`; each category's sum is the sum of its segments' rewards.
    """
    placed = torch.zeros(len(ends), len(categories))
    if not ends:
        return placed
    for k, (category, spec) in enumerate(categories.items()):
        scores = scored.categories[category]
        for segment, reward in zip(scores.segments, segment_rewards(scores, spec, pay), strict=True):
            if spec.density == "response":
                token = len(ends) - 1
            else:
                token = next((t for t, end in enumerate(ends) if end >= segment.end), len(ends) - 1)
            placed[token, k] += reward
    return placed


def weighted(streams: Tensor, categories: Sequence[Category], weights: Weights) -> Tensor:
    """The weighted sum of the categories' streams: float32 [..., T, categories] to [..., T]."""
    vector = torch.tensor([weights[category] for category in categories])
    return streams @ vector


def at_the_end(values: Tensor, mask: Tensor) -> Tensor:
    """Put a value for each response, float32 [B], on its last token: float32 [B, T]; nothing without tokens."""
    placed = torch.zeros(mask.shape)
    lengths = mask.sum(1)
    rows = torch.nonzero(lengths > 0)[:, 0]
    placed[rows, lengths[rows] - 1] = values[rows]
    return placed
