"""A step of fine-grained PPO: sample, score, place credit, estimate advantages, update the policy adapter."""

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from policies.prompt import PromptFormatter
from policies.weights import Weights
from rewards.dataset import Example
from rewards.errors import FgctlError
from rewards.protocol import ResponseScorer
from rewards.scores import ScoreRequest
from trainer.credit import at_the_end, weighted
from trainer.estimators.advantages import whiten
from trainer.estimators.estimator import Setting, make_estimator
from trainer.experience import Batch, Row, Streams, evaluate_batch, idle_row, make_batch, requests_of, reward_streams
from trainer.kl import KlController, kl_estimates
from trainer.losses import policy_loss
from trainer.policy_model import PolicyModel
from trainer.processes import Processes
from trainer.recipe import PpoRecipe, Recipe, RolloutBackend
from trainer.rollouts.ahead import Ahead, Samples, importance_weights
from trainer.rollouts.choose_sampler import resolved
from trainer.rollouts.sampler import Sampled, Sampler
from trainer.rollouts.scored import Rollout, sample_and_score
from trainer.tasks.qa import TASK as QUESTION_ANSWERING
from trainer.tasks.task import Task
from trainer.tracking.metrics import copied_metrics, step_metrics
from trainer.tracking.stability import require_finite

_NOTICEABLE = 0.02
"""Nats a token: a change of the trainer's log-probabilities that bfloat16 cannot hide from the sampler."""


@dataclass
class PpoTrainer:
    """The state that a run carries from step to step. Every process of the run has one, all in the same state."""

    model: PolicyModel
    scorer: ResponseScorer
    weights: Weights
    recipe: Recipe
    examples: list[Example]
    processes: Processes = field(default_factory=Processes)
    task: Task = QUESTION_ANSWERING

    def __post_init__(self) -> None:
        ppo = self.recipe.ppo
        torch.manual_seed(ppo.seed)
        setting = Setting(self.model.hidden_size, ppo.gamma, ppo.max_grad_norm, self.processes)
        self.estimator = make_estimator(ppo.estimator, setting)
        self._kl = KlController(ppo.kl)
        self._parameters = self.model.policy_parameters()
        self._optimizer = torch.optim.AdamW(self._parameters.values(), lr=ppo.learning_rate, eps=1e-5, weight_decay=0.0)
        self._formatter = PromptFormatter(self.model.tokenizer, ppo.max_prompt_tokens)
        probe = self.examples[0].model_copy(update={"passages": ()})
        self._probe = self.task.format(self._formatter, probe).token_ids
        self._probed: tuple[list[float], Tensor] | None = None
        self._ahead = Ahead(self.processes)
        self.samples: list[ScoreRequest] = []
        """The last step's responses to its first question."""

    def state(self, step: int) -> dict[str, Any]:
        """The state to put into a checkpoint. Data order and sampling depend only on the seed and the step."""
        return {
            "step": step,
            "adapter": {name: p.detach() for name, p in self._parameters.items()},
            "optimizer": self._optimizer.state_dict(),
            "estimator": self.estimator.state(),
            "kl": self._kl.state(),
            "ahead": self._ahead.state(),
        }

    def restore(self, state: dict[str, Any] | None) -> int:
        """Restore the state of a checkpoint; returns the step to continue with."""
        if state is None:
            return 0
        with torch.no_grad():
            for name, value in state["adapter"].items():
                self._parameters[name].copy_(value)
        self._optimizer.load_state_dict(state["optimizer"])
        self.estimator.restore(state["estimator"])
        self._kl.restore(state["kl"])
        self._ahead.restore(state["ahead"])
        return int(state["step"])

    def step(self, step: int, sampler: Sampler) -> dict[str, float]:
        """Sample, score, place credit, update the policy. Returns the step's metrics over all processes.

        Raises FgctlError when the sampler's weights are not the policy's, and for log-probabilities, advantages or a
        loss that are not finite.
        """
        ppo, clock, own = self.recipe.ppo, Clock(), self._own(step)
        with clock.phase("rollout"):
            prompts, shown = self._prompts(step)
            ahead = self._ahead.take()
            if ahead is None:
                self._synchronise(sampler, step)
            rollout = sample_and_score(
                partial(self._sample, sampler, step, prompts) if ahead is None else partial(_at, ahead),
                {i: shown[i] for i in own}, ppo.rollout_chunks, decode=self.model.decode, score=self.scorer.score,
            )  # fmt: skip
            samples = ahead or self.processes.merge(rollout.samples)
            batch = make_batch(prompts, [samples[i] for i in range(len(prompts))], self.model.eos, own)
            if ppo.staleness:
                self._synchronise(sampler, step + 1)
                self._begin_next(sampler, step + 1)
        metrics = self._learn(step, batch, shown, rollout, clock, stale=ahead is not None)
        with clock.phase("rollout"):
            self._ahead.finish()
        seconds = {f"seconds/{name}": value for name, value in clock.seconds.items()}
        return metrics | seconds | {"episodes_per_minute": 60 * ppo.episodes_per_step / sum(clock.seconds.values())}

    def _own(self, step: int) -> list[int]:
        """The places of this process's prompts in a step: an even share of every minibatch."""
        return sorted(self.processes.own(self._order(step)))

    def _order(self, step: int) -> list[int]:
        """The places of a step's prompts, in the order in which minibatches take them."""
        order = list(range(self.recipe.ppo.prompts_per_step))
        random.Random(f"ppo-{self.recipe.ppo.seed}-{step}").shuffle(order)  # noqa: S311 - not for secrets
        return order

    def _prompts(self, step: int) -> tuple[list[Sequence[int]], list[Example]]:
        """A step's prompts as token ids, and their questions with the passages that the policy is shown.

        Responses are scored against these passages, as in the service and in evaluation.
        """
        examples = step_examples(self.examples, step, self.recipe.ppo)
        formatted = [self.task.format(self._formatter, e) for e in examples]
        shown = [e.model_copy(update={"passages": p.passages}) for e, p in zip(examples, formatted, strict=True)]
        return [prompt.token_ids for prompt in formatted], shown

    def _begin_next(self, sampler: Sampler, step: int) -> None:
        """Begin to sample this process's share of a step by the policy as it is now."""
        places, (prompts, _) = self._own(step), self._prompts(step)
        self._ahead.begin(lambda: dict(zip(places, self._sample(sampler, step, prompts, places), strict=True)))

    def _sample(
        self, sampler: Sampler, step: int, prompts: Sequence[Sequence[int]], places: list[int]
    ) -> list[list[Sampled]]:
        """Responses of the sampler's policy to those of a step's prompts that are at these places."""
        ppo, seed = self.recipe.ppo, self.recipe.ppo.seed * 100_003 + step
        return sampler.sample(
            [prompts[i] for i in places], ppo.samples_per_prompt, ppo.max_new_tokens, seed, places=places
        )

    def _learn(
        self, step: int, batch: Batch, shown: list[Example], rollout: Rollout, clock: "Clock", *, stale: bool
    ) -> dict[str, float]:
        """Place credit on a step's responses and update the policy. `stale` responses are of the policy before it."""
        ppo, processes = self.recipe.ppo, self.processes
        with clock.phase("score"):
            requests = requests_of(batch, shown, self.model.decode)
            streams = reward_streams(
                batch, requests, rollout.scores(), self.scorer.categories, self.model.tokenizer, ppo.pay
            ).completed(processes)
        with clock.phase("evaluate"):
            idle = idle_row(self.model.eos)
            minibatches = [
                processes.level(rows, idle)
                for rows in batch.minibatches(self._order(step), ppo.minibatches, self.recipe.forward_tokens)
            ]
            rows = [row for minibatch in minibatches for row in minibatch]
            wants_features = self.estimator.wants_features
            evaluated = evaluate_batch(self.model, batch, rows, features=wants_features).completed(processes)
        require_finite("The parent's log-probabilities are", evaluated.reference)
        require_finite("The policy's log-probabilities are", evaluated.policy)
        drift = self._compare_with_sampler(batch, evaluated.policy, stale=stale)
        kl, _ = kl_estimates(evaluated.policy, evaluated.reference)
        cut = ppo.missing_end_penalty * at_the_end(batch.truncated.float(), batch.mask)
        task = weighted(streams.rewards, streams.categories, self.weights) - cut
        objective, holistic = task, {}
        if ppo.objective == "holistic":
            preferred = self._preference(batch, streams)
            objective, holistic = at_the_end(preferred, batch.mask) - cut, {"reward/holistic": preferred.mean().item()}
        advantages = self.estimator.advantages(
            objective - self._kl.coefficient * kl * batch.mask, batch, evaluated.features
        )
        require_finite("The advantages are", advantages[batch.mask])
        advantages = whiten(advantages, batch.mask)
        if stale:
            weights = importance_weights(evaluated.policy, batch.sampler_logprobs, ppo.importance_cap)
            advantages, drift["sampler/importance_weight"] = advantages * weights, weights[batch.mask].mean().item()
        with clock.phase("update"):
            update: dict[str, float] = {}
            if step >= ppo.first_policy_step:
                update = self._update_policy(step, minibatches, evaluated.policy, advantages)
            learned = self.estimator.learn()
        self.samples = streams.requests[: ppo.samples_per_prompt]
        metrics = step_metrics(batch, streams, task, evaluated, self.weights)
        penalty = {"kl/coefficient": self._kl.coefficient}
        self._kl.update(metrics["kl/response"], len(streams.texts))
        return (
            metrics
            | copied_metrics(streams.requests, shown)
            | holistic
            | penalty
            | learned
            | {f"policy/{name}": value for name, value in update.items()}
            | drift
        )

    def _preference(self, batch: Batch, streams: Streams) -> Tensor:
        """The holistic reward of each response, which for questions is the preference model's."""
        own, preferred = batch.own_samples, torch.zeros(len(batch.mask))
        requests = [streams.requests[b] for b in own.tolist()]
        preferred[own] = torch.tensor(self.scorer.holistic(requests))
        return self.processes.sum(preferred)[0]

    def _synchronise(self, sampler: Sampler, step: int) -> None:
        """Give the sampler the policy's weights, and check that what the trainer has learned has arrived.

        Where the gradient was zero, or the update too small, the trainer's own log-probabilities stay as well.
        """
        sampler.synchronise(self.model, step)
        sampled, own = sampler.logprobs(self._probe), self.model.logprobs(self._probe).cpu()
        if self._probed is None or sampled != self._probed[0]:
            self._probed = sampled, own
        elif (moved := (own - self._probed[1]).abs().mean().item()) > _NOTICEABLE:
            raise FgctlError(
                f"Updates changed the trainer's log-probabilities by {moved:.3f} nats a token and the sampler's not at "
                f"all, so it still has the old weights; try ppo.rollouts={self._other_sampler()}."
            )

    def _compare_with_sampler(self, batch: Batch, policy: Tensor, *, stale: bool) -> dict[str, float]:
        """Mean absolute difference of the sampler's log-probabilities from the policy's, nats a token, as a metric.

        Rounding explains a few hundredths. Stale responses also differ by an update; of the others, raises FgctlError
        above the recipe's tolerance.
        """
        gap = (policy - batch.sampler_logprobs)[batch.mask].abs().mean().item()
        if not stale and not gap <= self.recipe.ppo.logprob_tolerance:
            raise FgctlError(
                f"The sampler's log-probabilities differ from the trainer's by {gap:.3f} nats a token, more than "
                f"ppo.logprob_tolerance, so its weights are not the policy's, or it rounds differently; try "
                f"ppo.rollouts={self._other_sampler()}."
            )
        return {"sampler/logprob_gap": gap}

    def _other_sampler(self) -> RolloutBackend:
        """The sampler to try where this one is at fault."""
        return "vllm" if resolved(self.recipe.ppo.rollouts) == "transformers" else "transformers"

    def _update_policy(
        self, step: int, minibatches: Sequence[list[Row]], old: Tensor, advantages: Tensor
    ) -> dict[str, float]:
        ppo = self.recipe.ppo
        for group in self._optimizer.param_groups:
            group["lr"] = ppo.learning_rate * rate_share(step, ppo)
        history = [self._update_minibatch(rows, old, advantages) for _ in range(ppo.ppo_epochs) for rows in minibatches]
        return {name: sum(h[name] for h in history) / len(history) for name in history[0]} if history else {}

    def _update_minibatch(self, rows: Sequence[Row], old: Tensor, advantages: Tensor) -> dict[str, float]:
        """One optimiser step on the minibatch's mean loss over tokens, accumulated row by row.

        Loss and clipped share are summed over the processes, like the gradients.
        """
        (tokens,) = self.processes.sum(torch.tensor(sum(len(row.samples) for row in rows)))
        total = int(tokens)
        report = {"loss": 0.0, "clip_fraction": 0.0, "approximate_kl": 0.0}
        for row in rows:
            now = row.evaluate(self.model, "policy", grad=True).logprobs.cpu()
            at = (row.samples, row.steps)
            result = policy_loss(now, old[at], advantages[at], clip_range=self.recipe.ppo.clip_range, normaliser=total)
            result.loss.backward()
            share = len(row.samples) / total
            report["loss"] += result.loss.item()
            report["clip_fraction"] += share * result.clip_fraction
            report["approximate_kl"] += share * result.approximate_kl
        (summed,) = self.processes.sum(torch.tensor(list(report.values()), dtype=torch.float64))
        report = dict(zip(report, summed.tolist(), strict=True))
        require_finite("The loss is", summed[0])
        self.processes.sum_gradients(self._parameters.values())
        # The norm is the same in every process, and so is the decision to skip.
        norm = torch.nn.utils.clip_grad_norm_(self._parameters.values(), self.recipe.ppo.max_grad_norm)
        finite = bool(torch.isfinite(norm))
        if finite:
            self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return report | {"grad_norm": norm.item() if finite else 0.0, "skipped": 0.0 if finite else 1.0}


def rate_share(step: int, ppo: PpoRecipe) -> float:
    """The policy's learning rate at a step, as a share of the recipe's: a linear warm-up, then a linear decay."""
    after = step - ppo.first_policy_step
    if after < ppo.warmup_steps:
        return (after + 1) / (ppo.warmup_steps + 1)
    last = ppo.steps - 1 - ppo.first_policy_step
    progress = min(1.0, (after - ppo.warmup_steps) / max(1, last - ppo.warmup_steps))
    return 1 - (1 - ppo.decay_to) * progress


def step_examples(examples: list[Example], step: int, ppo: PpoRecipe) -> list[Example]:
    """The questions of a step: every epoch goes through all of them, in an order that depends on seed and epoch."""
    first = step * ppo.prompts_per_step
    chosen = []
    for position in range(first, first + ppo.prompts_per_step):
        epoch, index = divmod(position, len(examples))
        order = list(range(len(examples)))
        random.Random(f"prompts-{ppo.seed}-{epoch}").shuffle(order)  # noqa: S311
        chosen.append(examples[order[index]])
    return chosen


def _at(samples: Samples, places: list[int]) -> list[list[Sampled]]:
    return [samples[place] for place in places]


class Clock:
    """Seconds spent in each phase of a step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the time inside to a phase."""
        begin = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begin
