"""One step's samples as padded tensors: what was said, by whom how likely, and what each token earned."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rewards.categories import Category, CategorySpec
from rewards.scores import ScoredResponse, ScoreRequest
from trainer.credit import place_rewards, token_ends
from trainer.packing import Group, bins, pack, split
from trainer.recipe import Pay
from trainer.rollouts import Sampled
from trainer.trunk import Adapter, TokenLogProbs, Trunk


@dataclass
class Row:
    """A row of groups that is packed the same way in every pass of a step, and where its N response tokens stand."""

    groups: list[Group]
    samples: Tensor
    """int64 [N]: the sample, of the batch's B, that each token belongs to."""
    steps: Tensor
    """int64 [N]: its position in that sample."""
    below: Tensor | None = None
    """What the first pass found to enter the first adapted layer (Trunk.evaluate)."""

    def evaluate(
        self, trunk: Trunk, adapter: Adapter, *, grad: bool = False, entropy: bool = False, features: bool = False
    ) -> TokenLogProbs:
        """Trunk.evaluate of the row; all passes but the first begin at the first adapted layer."""
        packed = pack(self.groups)
        out = trunk.evaluate(packed, adapter, grad=grad, entropy=entropy, features=features, below=self.below)
        self.below = out.below
        return out


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

    def minibatches(self, order: Sequence[int], parts: int, forward_tokens: int) -> list[list[Row]]:
        """Split the groups, taken in an order, into at most `parts` minibatches of rows for forward passes.

        A row holds `forward_tokens` tokens at most, a group over it being a row of its own. Minibatches and rows
        without a response token are left out.
        """
        first = [0]
        for group in self.groups:
            first.append(first[-1] + len(group.responses))
        cut = [[self._row(row, first) for row in self._packed(part, forward_tokens)] for part in split(order, parts)]
        kept = [[row for row in rows if len(row.samples)] for rows in cut]
        return [rows for rows in kept if rows]

    def _packed(self, groups: Sequence[int], forward_tokens: int) -> list[list[int]]:
        return [[groups[i] for i in row] for row in bins([self.groups[g] for g in groups], forward_tokens)]

    def _row(self, groups: Sequence[int], first: Sequence[int]) -> Row:
        tokens = [
            (first[g] + j, t)
            for g in groups
            for j, response in enumerate(self.groups[g].responses)
            for t in range(len(response))
        ]
        flat = torch.tensor(tokens, dtype=torch.int64).reshape(-1, 2)
        return Row([self.groups[g] for g in groups], flat[:, 0], flat[:, 1])


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


@dataclass(frozen=True)
class Evaluated:
    """What reference and policy say of a batch before it updates the policy; zero on padding."""

    reference: Tensor
    """float32 [B, T]: log-probabilities under the supervised parent, in nats."""
    policy: Tensor
    """float32 [B, T]: log-probabilities under the policy that sampled."""
    entropy: Tensor
    """float32 [B, T]: of the policy's distribution, in nats."""
    features: Tensor
    """float32 [B, T, hidden]: the reference's last hidden state; hidden is 0 unless asked for."""


def evaluate_batch(trunk: Trunk, batch: Batch, rows: Sequence[Row], *, features: bool) -> Evaluated:
    """Run reference and policy over a batch's rows."""
    reference, policy, entropy = (torch.zeros(batch.mask.shape) for _ in range(3))
    hidden = torch.zeros(*batch.mask.shape, trunk.hidden_size if features else 0)
    for row in rows:
        at = (row.samples, row.steps)
        parent = row.evaluate(trunk, "reference", features=features)
        reference[at] = parent.logprobs.cpu()
        if features:
            hidden[at] = parent.features.cpu()
        now = row.evaluate(trunk, "policy", entropy=True)
        policy[at], entropy[at] = now.logprobs.cpu(), now.entropy.cpu()
    return Evaluated(reference, policy, entropy, hidden)


@dataclass(frozen=True)
class Streams:
    """What the reward models paid, category by category."""

    categories: tuple[Category, ...]
    """The scorer's categories, which the tensors' last dimension follows."""
    rewards: Tensor
    """float32 [B, T, categories]; zero on padding."""
    errors: Tensor
    """float32 [B, categories]: the error probabilities of each response's segments, summed: what rewards come from."""
    segments: Tensor
    """float32 [B, categories]: how many segments each response was judged by."""
    requests: list[ScoreRequest]
    """The B responses, with what they were judged by."""

    @property
    def texts(self) -> list[str]:
        """The B responses."""
        return [request.response for request in self.requests]


def reward_streams(
    batch: Batch,
    requests: Sequence[ScoreRequest],
    scores: Sequence[ScoredResponse],
    categories: Mapping[Category, CategorySpec],
    tokenizer: object,
    pay: Pay = "calibrated",
) -> Streams:
    """Place each segment's reward on the segment's last token.

    `requests` are the batch's responses as they were scored, and `scores` what they got by `categories`, in order.
    """
    responses = [response for group in batch.groups for response in group.responses]
    placed = torch.zeros(*batch.mask.shape, len(categories))
    segments, errors = torch.zeros(2, len(requests), len(categories))
    for b, (request, response, scored) in enumerate(zip(requests, responses, scores, strict=True)):
        ends = token_ends(response, request.response, tokenizer)
        placed[b, : len(response)] = place_rewards(scored, ends, categories, pay)
        judged = [scored.categories[name].segments for name in categories]
        segments[b] = torch.tensor([float(len(every)) for every in judged])
        errors[b] = torch.tensor([sum(segment.error_probability for segment in every) for every in judged])
    return Streams(tuple(categories), placed, errors, segments, requests)
