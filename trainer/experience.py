"""One step's samples as padded tensors: what was said, by whom how likely, and what each token earned."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

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


@dataclass
class Row:
    """A row of groups that is packed the same way in every pass of a step, and where its N response tokens stand."""

    groups: list[Group]
    samples: Tensor
    """int64 [N]: the sample, of the batch's B, that each token belongs to."""
    steps: Tensor
    """int64 [N]: its position in that sample."""
    below: Tensor | None = None
    """What the first pass found to enter the first adapted layer (PolicyModel.evaluate)."""

    def evaluate(
        self, model: PolicyModel, adapter: Adapter, *, grad: bool = False, entropy: bool = False, features: bool = False
    ) -> TokenLogProbs:
        """PolicyModel.evaluate of the row; all passes but the first begin at the first adapted layer."""
        packed = pack(self.groups)
        out = model.evaluate(packed, adapter, grad=grad, entropy=entropy, features=features, below=self.below)
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
    own: Sequence[int]
    """The groups that this process scores, evaluates and learns from; the others are other processes'."""

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

        A row holds `forward_tokens` tokens at most, a group over it being a row of its own. The rows are those of this
        process's own groups. Minibatches and rows without a response token are left out; a minibatch whose tokens are
        all other processes' has no rows.
        """
        first = [0]
        for group in self.groups:
            first.append(first[-1] + len(group.responses))
        kept = [part for part in split(order, parts) if any(any(self.groups[g].responses) for g in part)]
        own = [[g for g in part if g in self.own] for part in kept]
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
    """A row without response tokens, for a pass that is made because other processes make one (Processes.level)."""
    nothing = torch.empty(0, dtype=torch.int64)
    return Row([Group([eos], [[]])], nothing, nothing)


def make_batch(
    prompts: Sequence[Sequence[int]],
    sampled: Sequence[Sequence[Sampled]],
    eos: int,
    own: Sequence[int] | None = None,
) -> Batch:
    """Pad a step's samples. A response of no tokens stays a row of padding. All groups are `own` unless given."""
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
    """What reference and policy say of a batch before it updates the policy; zero on padding."""

    reference: Tensor
    """float32 [B, T]: log-probabilities under the supervised parent, in nats."""
    policy: Tensor
    """float32 [B, T]: log-probabilities under the policy that sampled."""
    entropy: Tensor
    """float32 [B, T]: of the policy's distribution, in nats."""
    features: Tensor
    """float32 [own samples, T, hidden]: the reference's last hidden state; hidden is 0 unless asked for."""

    def completed(self, processes: Processes) -> "Evaluated":
        """With what the other processes found of their samples, but for the features."""
        reference, policy, entropy = processes.sum(self.reference, self.policy, self.entropy)
        return replace(self, reference=reference, policy=policy, entropy=entropy)


def evaluate_batch(model: PolicyModel, batch: Batch, rows: Sequence[Row], *, features: bool) -> Evaluated:
    """Run reference and policy over a batch's rows, which are this process's own; what is not in them stays zero."""
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

    def completed(self, processes: Processes) -> "Streams":
        """With what the other processes' responses were paid."""
        rewards, errors, segments = processes.sum(self.rewards, self.errors, self.segments)
        return replace(self, rewards=rewards, errors=errors, segments=segments)


def requests_of(
    batch: Batch, examples: Sequence[Example], decode: Callable[[Sequence[int]], str]
) -> list[ScoreRequest]:
    """The batch's B responses, to be judged; `examples` are its groups' questions with the passages to judge by."""
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
    tokenizer: object,
    pay: Pay = "calibrated",
) -> Streams:
    """Place each segment's reward on the segment's last token.

    `requests` are the batch's B responses, and `scores` what this process's own got by `categories`, in order; other
    processes' stay zero.
    """
    responses = [response for group in batch.groups for response in group.responses]
    placed = torch.zeros(*batch.mask.shape, len(categories))
    segments, errors = torch.zeros(2, len(requests), len(categories))
    for b, scored in zip(batch.own_samples.tolist(), scores, strict=True):
        ends = token_ends(responses[b], requests[b].response, tokenizer)
        placed[b, : len(responses[b])] = place_rewards(scored, ends, categories, pay)
        judged = [scored.categories[name].segments for name in categories]
        segments[b] = torch.tensor([float(len(every)) for every in judged])
        errors[b] = torch.tensor([sum(segment.error_probability for segment in every) for every in judged])
    return Streams(tuple(categories), placed, errors, segments, requests)
