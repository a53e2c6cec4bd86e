"""One step's samples as padded tensors: tokens, log-probabilities and rewards."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from rewards.categories import Category, CategorySpec
from rewards.dataset import Example
from rewards.scores import ScoredResponse, ScoreRequest
from trainer.credit import place_rewards, token_ends
from trainer.packing import Group, bins, pack, split
from trainer.policy_model import Adapter, PolicyModel, TokenLogProbs
from trainer.processes import Processes
from trainer.recipe import Pay
from trainer.rollouts.sampler import Sampled

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass
class Row:
    """Groups that are packed into one row, in the same way in every pass of a step, and the place of its N tokens."""

    groups: list[Group]
    samples: Tensor
    """int64 [N]: the sample, of the batch's B, that each token belongs to."""
    steps: Tensor
    """int64 [N]: its position in that sample."""
    below: Tensor | None = None
    """The input of the first adapted layer, which the first pass recorded (PolicyModel.evaluate)."""

    def evaluate(
        self, model: PolicyModel, adapter: Adapter, *, grad: bool = False, entropy: bool = False, features: bool = False
    ) -> TokenLogProbs:
        """PolicyModel.evaluate of the row; every pass after the first begins at the first adapted layer."""
        packed = pack(self.groups)
        out = model.evaluate(packed, adapter, grad=grad, entropy=entropy, features=features, below=self.below)
        self.below = out.below
        return out


@dataclass(frozen=True)
class Batch:
    """A step's responses: B = prompts x samples, of at most T tokens."""

    groups: list[Group]
    mask: Tensor
    """bool [B, T]: True on response tokens."""
    sampler_logprobs: Tensor
    """float32 [B, T]: the sampler's log-probabilities."""
    truncated: Tensor
    """bool [B]: True for a response that was cut before its end."""
    own: Sequence[int]
    """The groups that this process scores, evaluates and learns from; the others belong to other processes."""

    @property
    def lengths(self) -> Tensor:
        """int64 [B]: response tokens, the end-of-text token included."""
        return self.mask.sum(1)

    @property
    def prompts(self) -> Tensor:
        """int64 [B]: the group of each response."""
        return torch.tensor([g for g, group in enumerate(self.groups) for _ in group.responses], dtype=torch.int64)

    @property
    def own_samples(self) -> Tensor:
        """int64: the samples, of the B, of this process's own groups."""
        return torch.nonzero(torch.isin(self.prompts, torch.tensor(self.own, dtype=torch.int64)))[:, 0]

    def minibatches(self, order: Sequence[int], parts: int, forward_tokens: int) -> list[list[Row]]:
        """Split the groups, taken in an order, into at most `parts` minibatches of rows for forward passes.

        A row holds at most `forward_tokens` tokens, or a single larger group. Only this process's own groups get rows.
        Minibatches and rows without a response token are left out; a minibatch whose tokens all belong to other
        processes has no rows.
        """
        first = [0]
        for group in self.groups:
            first.append(first[-1] + len(group.responses))
        with_tokens = [part for part in split(order, parts) if any(any(self.groups[g].responses) for g in part)]
        own = [[g for g in part if g in self.own] for part in with_tokens]
        cut = [[self._row(row, first) for row in self._packed(part, forward_tokens)] for part in own]
        return [[row for row in rows if len(row.samples)] for rows in cut]

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


def idle_row(eos: int) -> Row:
    """A row without response tokens, for a pass that runs only because other processes run one (Processes.level)."""
    nothing = torch.empty(0, dtype=torch.int64)
    return Row([Group([eos], [[]])], nothing, nothing)


def make_batch(
    prompts: Sequence[Sequence[int]],
    sampled: Sequence[Sequence[Sampled]],
    eos: int,
    own: Sequence[int] | None = None,
) -> Batch:
    """Pad a step's samples; a response without tokens is all padding. `own` defaults to all groups."""
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
    return Batch(groups, mask, logprobs, truncated, range(len(groups)) if own is None else own)


@dataclass(frozen=True)
class Evaluated:
    """Log-probabilities of a batch under reference and policy before the update; zero on padding."""

    reference: Tensor
    """float32 [B, T]: log-probabilities under the supervised parent, in nats."""
    policy: Tensor
    """float32 [B, T]: log-probabilities under the policy that sampled."""
    entropy: Tensor
    """float32 [B, T]: entropy of the policy's distribution, in nats."""
    features: Tensor
    """float32 [own samples, T, hidden]: the reference's last hidden state; hidden is 0 unless asked for."""

    def completed(self, processes: Processes) -> "Evaluated":
        """Complete, with the values of the other processes' samples, except for the features."""
        reference, policy, entropy = processes.sum(self.reference, self.policy, self.entropy)
        return replace(self, reference=reference, policy=policy, entropy=entropy)


def evaluate_batch(model: PolicyModel, batch: Batch, rows: Sequence[Row], *, features: bool) -> Evaluated:
    """Run reference and policy over this process's rows of a batch; samples in no row stay zero."""
    reference, policy, entropy = (torch.zeros(batch.mask.shape) for _ in range(3))
    own = batch.own_samples
    hidden = torch.zeros(len(own), batch.mask.shape[1], model.hidden_size if features else 0)
    index = torch.zeros(len(batch.mask), dtype=torch.int64)
    index[own] = torch.arange(len(own))
    for row in rows:
        at = (row.samples, row.steps)
        parent = row.evaluate(model, "reference", features=features)
        reference[at] = parent.logprobs.cpu()
        if features:
            hidden[index[row.samples], row.steps] = parent.features.cpu()
        now = row.evaluate(model, "policy", entropy=True)
        policy[at], entropy[at] = now.logprobs.cpu(), now.entropy.cpu()
    return Evaluated(reference, policy, entropy, hidden)


@dataclass(frozen=True)
class Streams:
    """The rewards, category by category."""

    categories: tuple[Category, ...]
    """The scorer's categories, which the tensors' last dimension follows."""
    rewards: Tensor
    """float32 [B, T, categories]; zero on padding."""
    errors: Tensor
    """float32 [B, categories]: sum of the error probabilities of each response's segments."""
    segments: Tensor
    """float32 [B, categories]: number of segments of each response."""
    requests: list[ScoreRequest]
    """The B responses, with the questions and passages they were scored by."""

    @property
    def texts(self) -> list[str]:
        """The texts of the B responses."""
        return [request.response for request in self.requests]

    def completed(self, processes: Processes) -> "Streams":
        """Complete, with the rewards of the other processes' responses."""
        rewards, errors, segments = processes.sum(self.rewards, self.errors, self.segments)
        return replace(self, rewards=rewards, errors=errors, segments=segments)


def requests_of(
    batch: Batch, examples: Sequence[Example], decode: Callable[[Sequence[int]], str]
) -> list[ScoreRequest]:
    """The batch's B responses, to be scored; `examples` are its groups' questions with the passages to score by."""
    return [
        ScoreRequest(example.question, example.passages, decode(response))
        for example, group in zip(examples, batch.groups, strict=True)
        for response in group.responses
    ]


def reward_streams(
    batch: Batch,
    requests: list[ScoreRequest],
    scores: Sequence[ScoredResponse],
    categories: Mapping[Category, CategorySpec],
    tokenizer: "PreTrainedTokenizerBase",
    pay: Pay = "calibrated",
) -> Streams:
    """Place each segment's reward on the segment's last token.

    `requests` are the batch's B responses, and `scores` the scores of this process's own, in order. The rewards of the
    others stay zero.
    """
    responses = [response for group in batch.groups for response in group.responses]
    placed = torch.zeros(*batch.mask.shape, len(categories))
    segments, errors = torch.zeros(2, len(requests), len(categories))
    for b, scored in zip(batch.own_samples.tolist(), scores, strict=True):
        ends = token_ends(responses[b], requests[b].response, tokenizer)
        placed[b, : len(responses[b])] = place_rewards(scored, ends, categories, pay)
        scored_segments = [scored.categories[name].segments for name in categories]
        segments[b] = torch.tensor([float(len(group)) for group in scored_segments])
        errors[b] = torch.tensor([sum(segment.error_probability for segment in group) for group in scored_segments])
    return Streams(tuple(categories), placed, errors, segments, requests)
