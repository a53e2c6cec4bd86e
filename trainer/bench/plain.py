"""One PPO step in a straightforward implementation, with which `fgctl bench train` compares the trainer.

It computes the same rewards, log-probabilities and gradients as trainer.ppo, up to rounding, but saves no work:

- rollouts by one call of transformers' generate on the base with its LoRA adapter, prompts padded on the left and
  repeated for each sample,
- rewards after all rollouts, one response at a time,
- a row for each response, with its prompt repeated before it, padded on the right; whole passes of reference and policy
  through all layers; logits, log-probabilities and entropies of every position, including the prompt,
- an update by the same passes again.

A forward pass holds as many tokens as the trainer's, padding included, or at least one row.
"""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from policies.prompt import PromptFormatter
from policies.weights import Weights
from rewards.dataset import Example
from rewards.scorer import Scorer
from rewards.scores import ScoreRequest
from trainer.credit import at_the_end, weighted
from trainer.estimators.advantages import whiten
from trainer.estimators.estimator import Setting, make_estimator
from trainer.experience import Batch, Evaluated, Streams, make_batch, reward_streams
from trainer.kl import kl_estimates
from trainer.losses import policy_loss
from trainer.packing import split
from trainer.policy_model import Adapter, PolicyModel
from trainer.ppo import Clock, step_examples
from trainer.processes import Processes
from trainer.recipe import Recipe
from trainer.rollouts.sampler import Sampled


@dataclass(frozen=True)
class Padded:
    """R responses of a batch, each after its prompt, padded on the right to W tokens."""

    samples: Tensor
    """int64 [R]: their indices among the batch's B responses."""
    input_ids: Tensor
    """int64 [R, W]"""
    attention_mask: Tensor
    """int64 [R, W]: 0 on padding."""
    predicted_at: Tensor
    """int64 [R, T]: the position that predicts each token of a response; any position on the batch's padding."""


@dataclass(frozen=True)
class PlainLogProbs:
    """Log-probabilities of rows of responses under an adapter; meaningless on the batch's padding."""

    logprobs: Tensor
    """float32 [R, T], in nats."""
    entropy: Tensor
    """float32 [R, T], in nats; empty unless asked for."""
    features: Tensor
    """float32 [R, T, hidden]: the last hidden state where each token is predicted; empty unless asked for."""


@dataclass(frozen=True)
class PlainStep:
    """A step's times and results."""

    seconds: dict[str, float]
    """By phase: rollout, score, evaluate, update."""
    sampled: list[list[Sampled]]
    """The responses that the rollout sampled."""
    grad_norm: float
    """Gradient norm of the last optimiser step, before clipping."""


class PlainTrainer:
    """Takes PPO steps in the plain way, training the model's policy."""

    def __init__(
        self, model: PolicyModel, scorer: Scorer, weights: Weights, recipe: Recipe, examples: list[Example]
    ) -> None:
        ppo = recipe.ppo
        self.model, self._scorer, self._weights, self._recipe, self._examples = model, scorer, weights, recipe, examples
        torch.manual_seed(ppo.seed)
        self._estimator = make_estimator(
            ppo.estimator, Setting(model.hidden_size, ppo.gamma, ppo.max_grad_norm, Processes())
        )
        self._parameters = model.policy_parameters()
        self._optimizer = torch.optim.AdamW(self._parameters.values(), lr=ppo.learning_rate, eps=1e-5, weight_decay=0.0)
        self._formatter = PromptFormatter(model.tokenizer, ppo.max_prompt_tokens)

    def step(self, step: int, responses: list[list[Sampled]] | None = None) -> PlainStep:
        """Take a step on the questions that PpoTrainer.step takes.

        `responses` of each prompt, where given, replace the rollout's own after the rollout: responses of other lengths
        would have other costs.
        """
        ppo, clock = self._recipe.ppo, Clock()
        with clock.phase("rollout"):
            examples = step_examples(self._examples, step, ppo)
            formatted = [self._formatter.format(e.question, e.passages) for e in examples]
            prompts = [prompt.token_ids for prompt in formatted]
            sampled = self.sample(prompts, ppo.seed * 100_003 + step)
            batch = make_batch(prompts, responses or sampled, self.model.eos)
        with clock.phase("score"):
            shown = [e.model_copy(update={"passages": p.passages}) for e, p in zip(examples, formatted, strict=True)]
            streams = self.score(batch, shown)
        with clock.phase("evaluate"):
            evaluated = self.evaluate(batch)
        kl, _ = kl_estimates(evaluated.policy, evaluated.reference)
        task = weighted(streams.rewards, streams.categories, self._weights)
        rewards = (
            task
            - ppo.missing_end_penalty * at_the_end(batch.truncated.float(), batch.mask)
            - ppo.kl.coefficient * kl * batch.mask
        )
        advantages = whiten(self._estimator.advantages(rewards, batch, evaluated.features), batch.mask)
        with clock.phase("update"):
            norm = self.update(batch, evaluated.policy, advantages)
            self._estimator.learn()
        return PlainStep(clock.seconds, sampled, norm)

    def sample(self, prompts: Sequence[Sequence[int]], seed: int) -> list[list[Sampled]]:
        """Sample responses to all prompts in one batch, without log-probabilities, which `evaluate` computes."""
        ppo, model = self._recipe.ppo, self.model
        width = max(map(len, prompts))
        ids = torch.full((len(prompts), width), model.eos)
        mask = torch.zeros(len(prompts), width, dtype=torch.int64)
        for row, prompt in enumerate(prompts):
            ids[row, width - len(prompt) :] = torch.tensor(list(prompt))
            mask[row, width - len(prompt) :] = 1
        model.use("policy")
        torch.manual_seed(seed)
        with torch.inference_mode(), model.autocast():
            out = model.peft.generate(
                input_ids=ids.to(model.device),
                attention_mask=mask.to(model.device),
                do_sample=True,
                temperature=model.temperature,
                top_k=0,
                top_p=1.0,
                num_return_sequences=ppo.samples_per_prompt,
                max_new_tokens=ppo.max_new_tokens,
                eos_token_id=model.eos,
                pad_token_id=model.eos,
            )
        responses = [Sampled(until(row, model.eos), []) for row in out[:, width:].tolist()]
        n = ppo.samples_per_prompt
        return [responses[first : first + n] for first in range(0, len(responses), n)]

    def score(self, batch: Batch, examples: Sequence[Example]) -> Streams:
        """See reward_streams; one response at a time."""
        requests, scores = [], []
        for example, group in zip(examples, batch.groups, strict=True):
            for response in group.responses:
                requests.append(ScoreRequest(example.question, example.passages, self.model.decode(response)))
                scores += self._scorer.score(requests[-1:])
        return reward_streams(batch, requests, scores, self._scorer.categories, self.model.tokenizer)

    def evaluate(self, batch: Batch) -> Evaluated:
        """See evaluate_batch."""
        wanted = self._estimator.wants_features
        reference, policy, entropy = (torch.zeros(batch.mask.shape) for _ in range(3))
        features = torch.zeros(*batch.mask.shape, self.model.hidden_size if wanted else 0)
        for rows in self.rows(batch, range(len(batch.mask))):
            valid = batch.mask[rows.samples]
            parent = self.logprobs(rows, "reference", features=wanted)
            reference[rows.samples] = parent.logprobs * valid
            if wanted:
                features[rows.samples] = parent.features * valid[..., None]
            now = self.logprobs(rows, "policy", entropy=True)
            policy[rows.samples], entropy[rows.samples] = now.logprobs * valid, now.entropy * valid
        return Evaluated(reference, policy, entropy, features)

    def update(self, batch: Batch, old: Tensor, advantages: Tensor) -> float:
        """Take the recipe's optimiser steps, prompts in order. Returns the last one's gradient norm before clipping."""
        ppo, norm = self._recipe.ppo, 0.0
        parts = split(range(len(batch.groups)), ppo.minibatches)
        for part in [part for _ in range(ppo.ppo_epochs) for part in parts]:
            chosen = [b for b, prompt in enumerate(batch.prompts.tolist()) if prompt in part]
            self.backward(batch, chosen, old, advantages)
            norm = torch.nn.utils.clip_grad_norm_(self._parameters.values(), ppo.max_grad_norm).item()
            self._optimizer.step()
            self._optimizer.zero_grad(set_to_none=True)
        return norm

    def backward(self, batch: Batch, samples: Sequence[int], old: Tensor, advantages: Tensor) -> None:
        """Add the gradient of the policy loss over some of the batch's responses to the policy's."""
        total = int(batch.mask[list(samples)].sum())
        for rows in self.rows(batch, samples):
            valid = batch.mask[rows.samples]
            now = self.logprobs(rows, "policy", grad=True).logprobs
            policy_loss(
                now[valid],
                old[rows.samples][valid],
                advantages[rows.samples][valid],
                clip_range=self._recipe.ppo.clip_range,
                normaliser=total,
            ).loss.backward()

    def rows(self, batch: Batch, samples: Sequence[int]) -> Iterator[Padded]:
        """Some of the batch's responses in order, as many in a forward pass as `forward_tokens` allows."""
        prompts = [group.prompt for group in batch.groups for _ in group.responses]
        responses = [response for group in batch.groups for response in group.responses]
        chosen: list[int] = []
        width = 0
        for b in samples:
            wider = max(width, len(prompts[b]) + len(responses[b]))
            if chosen and wider * (len(chosen) + 1) > self._recipe.forward_tokens:
                yield self._pad(chosen, prompts, responses, batch.mask.shape[1])
                chosen, wider = [], len(prompts[b]) + len(responses[b])
            chosen, width = [*chosen, b], wider
        if chosen:
            yield self._pad(chosen, prompts, responses, batch.mask.shape[1])

    def _pad(
        self, chosen: list[int], prompts: Sequence[Sequence[int]], responses: Sequence[Sequence[int]], steps: int
    ) -> Padded:
        texts = [[*prompts[b], *responses[b]] for b in chosen]
        ids = torch.full((len(texts), max(map(len, texts))), self.model.eos)
        mask = torch.zeros_like(ids)
        for row, text in enumerate(texts):
            ids[row, : len(text)] = torch.tensor(text)
            mask[row, : len(text)] = 1
        first = torch.tensor([len(prompts[b]) - 1 for b in chosen])
        predicted_at = (first[:, None] + torch.arange(steps)).clamp(max=max(0, ids.shape[1] - 2))
        return Padded(torch.tensor(chosen), ids, mask, predicted_at)

    def logprobs(
        self, rows: Padded, adapter: Adapter, *, grad: bool = False, entropy: bool = False, features: bool = False
    ) -> PlainLogProbs:
        """The plain formulas over every position of the rows, then a selection of the responses' positions."""
        model = self.model
        model.use(adapter)
        ids = rows.input_ids.to(model.device)
        with nullcontext() if grad else torch.no_grad():
            with model.autocast():
                out = model.peft(
                    input_ids=ids,
                    attention_mask=rows.attention_mask.to(model.device),
                    output_hidden_states=features,
                    use_cache=False,
                )
            distribution = (out.logits.float() / model.temperature).log_softmax(-1)
            following = distribution[:, :-1].gather(-1, ids[:, 1:, None])[..., 0].cpu()
            entropies, hidden = torch.empty(0), torch.empty(0)
            if entropy:
                entropies = (-(distribution.exp() * distribution).sum(-1)).cpu().gather(1, rows.predicted_at)
            if features:
                last = out.hidden_states[-1].float().cpu()
                hidden = last.gather(1, rows.predicted_at[..., None].expand(-1, -1, last.shape[-1]))
        return PlainLogProbs(following.gather(1, rows.predicted_at), entropies, hidden)


def until(tokens: list[int], end: int) -> list[int]:
    """The tokens up to and including the first `end`, or all."""
    return tokens[: tokens.index(end) + 1] if end in tokens else tokens
