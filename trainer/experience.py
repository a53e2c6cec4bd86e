"""One step's samples as padded tensors: what was said, by whom how likely, and what each token earned."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rewards.categories import Category
from rewards.dataset import Example
from rewards.scorer import Scorer
from rewards.scores import ScoreRequest
from trainer.credit import place_rewards, token_ends
from trainer.packing import Group, bins, pack
from trainer.rollouts import Sampled
from trainer.trunk import Adapter, Trunk


@dataclass(frozen=True)
class Row:
    """A packed row of groups, and where its N response tokens stand in the padded tensors."""

    groups: list[int]
    samples: Tensor
    """int64 [N]: the sample each token belongs to."""
    steps: Tensor
    """int64 [N]: its position in that sample."""


@dataclass(frozen=True)
class Batch:
    """B = prompts x samples responses of at most T tokens."""

    groups: list[Group]
    mask: Tensor
    """bool [B, T]: True on response tokens."""
    sampler_logprobs: Tensor
    """float32 [B, T]: as the sampler computed them."""
    truncated: Tensor
    """bool [B]: responses cut before they ended."""

    @property
    def lengths(self) -> Tensor:
        """int64 [B]: response tokens, the end-of-text token included."""
        return self.mask.sum(1)

    @property
    def prompts(self) -> Tensor:
        """int64 [B]: the group of each response."""
        return torch.tensor([g for g, group in enumerate(self.groups) for _ in group.responses], dtype=torch.int64)

    def rows(self, groups: Sequence[int], forward_tokens: int) -> list[Row]:
        """Pack some of the batch's groups into rows for forward passes."""
        chosen = [self.groups[g] for g in groups]
        first = [0]
        for group in self.groups:
            first.append(first[-1] + len(group.responses))
        rows = []
        for members in bins(chosen, forward_tokens):
            indices = [groups[i] for i in members]
            tokens = [
                (first[g] + j, t)
                for g in indices
                for j, response in enumerate(self.groups[g].responses)
                for t in range(len(response))
            ]
            flat = torch.tensor(tokens, dtype=torch.int64).reshape(-1, 2)
            rows.append(Row(indices, flat[:, 0], flat[:, 1]))
        return rows


def make_batch(prompts: Sequence[Sequence[int]], sampled: Sequence[Sequence[Sampled]], eos: int) -> Batch:
    """Pad a step's samples. A response of no tokens stays a row of padding."""
    groups = [
        Group(list(prompt), [s.token_ids for s in samples]) for prompt, samples in zip(prompts, sampled, strict=True)
    ]
    flat = [s for samples in sampled for s in samples]
    width = max([len(s.token_ids) for s in flat] + [1])
    mask = torch.zeros(len(flat), width, dtype=torch.bool)
    logprobs = torch.zeros(len(flat), width)
    for b, sample in enumerate(flat):
        mask[b, : len(sample.token_ids)] = True
        logprobs[b, : len(sample.logprobs)] = torch.tensor(sample.logprobs)
    truncated = torch.tensor([eos not in s.token_ids for s in flat])
    return Batch(groups, mask, logprobs, truncated)


def evaluate_batch(
    trunk: Trunk, batch: Batch, adapter: Adapter, forward_tokens: int, *, features: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """Log-probabilities and entropies [B, T] of a batch under an adapter, and features [B, T, hidden] if asked for."""
    logprobs = torch.zeros(batch.mask.shape)
    entropy = torch.zeros(batch.mask.shape)
    hidden = torch.zeros(*batch.mask.shape, trunk.hidden_size if features else 0)
    for row in batch.rows(range(len(batch.groups)), forward_tokens):
        out = trunk.evaluate(pack([batch.groups[g] for g in row.groups]), adapter, features=features)
        logprobs[row.samples, row.steps] = out.logprobs.cpu()
        entropy[row.samples, row.steps] = out.entropy.cpu()
        if features:
            hidden[row.samples, row.steps] = out.features.cpu()
    return logprobs, entropy, hidden


@dataclass(frozen=True)
class Streams:
    """What the reward models paid, category by category."""

    categories: tuple[Category, ...]
    """The scorer's categories, which the tensors' last dimension follows."""
    rewards: Tensor
    """float32 [B, T, categories]; zero on padding."""
    segments: Tensor
    """float32 [B, categories]: how many segments each response was judged by."""
    texts: list[str]
    """The B responses."""


def reward_streams(batch: Batch, examples: Sequence[Example], trunk: Trunk, scorer: Scorer) -> Streams:
    """Score a batch and place each segment's reward on the segment's last token.

    `examples` are the questions of the batch's groups, in order, with the passages to judge by.
    """
    requests, tokens = [], []
    for example, group in zip(examples, batch.groups, strict=True):
        for response in group.responses:
            requests.append(ScoreRequest(example.question, example.passages, trunk.decode(response)))
            tokens.append(response)
    categories = scorer.categories
    placed = torch.zeros(*batch.mask.shape, len(categories))
    segments = torch.zeros(len(requests), len(categories))
    for b, (request, response, scored) in enumerate(zip(requests, tokens, scorer.score(requests), strict=True)):
        ends = token_ends(response, request.response, trunk.tokenizer)
        placed[b, : len(response)] = place_rewards(scored, ends, categories)
        segments[b] = torch.tensor([float(len(scored.categories[name].segments)) for name in categories])
    return Streams(tuple(categories), placed, segments, [request.response for request in requests])
