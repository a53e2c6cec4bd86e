"""Fine-grained PPO: a policy adapter from its supervised parent, on the weighted sum of dense rewards."""

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from policies.base import BaseModel
from policies.manifest import Named, PolicyManifest, SeenFeedback, UsedRewards, Versioned
from policies.prompt import PromptFormatter
from policies.store import SFT, PolicyStore
from policies.weights import Weights
from rewards.dataset import Example, file_digest, load_examples
from rewards.errors import FgctlError
from rewards.held_out import without_held_out
from rewards.scorer import Scorer
from trainer.credit import at_the_end, weighted
from trainer.estimators import make_estimator
from trainer.estimators.advantages import whiten
from trainer.experience import Batch, Row, Streams, evaluate_batch, idle_row, make_batch, requests_of, reward_streams
from trainer.kl import KlController, kl_estimates
from trainer.losses import policy_loss
from trainer.policy_model import Trunk
from trainer.processes import Processes
from trainer.recipe import PpoRecipe, Recipe
from trainer.rollouts import Sampler, make_sampler
from trainer.rollouts.scored import sample_and_score
from trainer.rollouts.server import ServerSampler
from trainer.tracking.checkpoint import claim_run, load_checkpoint, save_checkpoint
from trainer.tracking.metrics import step_metrics
from trainer.tracking.run_log import RunLog
from trainer.tracking.stability import diverged, signs


@dataclass(frozen=True)
class PpoJob:
    """What to train, on what, with what, and where the run lives."""

    profile: str
    weights: Weights
    base: BaseModel
    data: Path
    recipe_name: str
    recipe: Recipe
    run: Path


def train_policy(job: PpoJob, store: PolicyStore, scorer: Scorer, processes: Processes | None = None) -> PolicyManifest:
    """Train a policy and store it as a new version; resumes the run when it was interrupted.

    Every one of the run's processes calls it and gets the manifest; the main one alone writes. Raises FgctlError when
    the base has no supervised parent, for unusable data, for weights of a category that is not in use, for a run
    directory of other settings, for a recipe that the processes cannot share, and when the sampler's weights are not
    the trainer's.
    """
    job.weights.check(scorer.categories)
    scorer.require_rewards()
    processes = processes or Processes()
    check_shares(job.recipe.ppo, processes)
    if SFT not in store.profiles():
        raise FgctlError("There is no supervised parent to start from; train one by `fgctl sft --promote`.")
    parent = store.profile(SFT).version
    parent_path = store.verify(SFT, parent, Named(name=job.base.name, digest=job.base.digest))
    examples = without_held_out(load_examples(job.data))
    if not examples:
        raise FgctlError(f"{job.data} leaves no question to train on; add questions outside the held-out list.")
    data_digest = file_digest(job.data)
    settings = {
        "kind": "ppo",
        "base": job.base.digest,
        "data": data_digest,
        "parent": parent,
        "rewards": scorer.version,
        "weights": job.weights.as_dict(),
        # A finished run may be given more steps, so their number is no part of what the run is; nor is who samples,
        # and in how many parts, which change nothing but its rounding.
        "recipe": job.recipe.model_dump(
            mode="json", exclude={"sft": True, "ppo": {"steps", "rollout_servers", "rollout_chunks"}}
        ),
    }
    processes.on_main(partial(claim_run, job.run, settings))
    trunk = Trunk(job.base, job.recipe.lora, parent_path, job.recipe.ppo.temperature, processes)
    trainer = PpoTrainer(trunk, scorer, job.weights, job.recipe, examples, processes)
    start = trainer.restore(processes.on_main(partial(load_checkpoint, job.run)))
    if start < job.recipe.ppo.steps:
        _run_steps(job, trainer, start)
    steps = max(start, job.recipe.ppo.steps)
    manifest = {
        "weights": job.weights,
        "base": Named(name=job.base.name, digest=job.base.digest),
        "parent": Versioned(version=parent, digest=file_digest(parent_path / "adapter_model.safetensors")),
        "recipe": {"name": job.recipe_name} | job.recipe.model_dump(exclude={"sft"}, mode="json"),
        "data": (Named(name=job.data.name, digest=data_digest),),
        "rewards": used_rewards(scorer),
        "steps": steps,
        "episodes": steps * job.recipe.ppo.prompts_per_step * job.recipe.ppo.samples_per_prompt,
        "scores": {},
    }

    def write() -> PolicyManifest:
        trunk.save_adapter(job.run / "adapter")
        return store.write(job.profile, job.run / "adapter", manifest)

    return processes.on_main(write)


def used_rewards(scorer: Scorer) -> UsedRewards:
    """The reward models, and the feedback that they were fitted on."""
    fitted = scorer.feedback.fitted
    seen = SeenFeedback(
        data=tuple(Named(name=name, digest=digest) for name, digest in fitted.data.items()),
        questions=len(fitted.questions),
        annotations=fitted.annotations,
    )
    return UsedRewards(version=scorer.version, digest=scorer.digest, feedback=seen)


def check_shares(ppo: PpoRecipe, processes: Processes) -> None:
    """Raises FgctlError for a recipe that these processes cannot share."""
    if ppo.prompts_per_step % processes.count:
        raise FgctlError(
            f"ppo.prompts_per_step is {ppo.prompts_per_step}, which {processes.count} processes cannot share evenly; "
            f"make it a multiple of {processes.count}."
        )
    if processes.sharded and ppo.rollouts != "server":
        raise FgctlError(
            "A base that is spread over processes (--use_fsdp) cannot sample by itself; start vLLM servers, and set "
            "ppo.rollouts=server and ppo.rollout_servers."
        )


def _run_steps(job: PpoJob, trainer: "PpoTrainer", start: int) -> None:
    settings, processes = job.recipe.ppo, trainer.processes
    sampler = _sampler(job, trainer)
    try:
        log = RunLog(job.run, job.profile, total=settings.steps, start=start) if processes.main else None
        with log or nullcontext():
            for step in range(start, settings.steps):
                metrics = trainer.step(step, sampler)
                processes.on_main(partial(_finish_step, job, trainer, log, step, metrics))
    finally:
        sampler.close()


def _sampler(job: PpoJob, trainer: "PpoTrainer") -> Sampler:
    ppo = job.recipe.ppo
    if ppo.rollouts == "server":
        return ServerSampler(ppo.rollout_servers, job.run / "rollouts", trainer.trunk, trainer.processes)
    return make_sampler(ppo.rollouts, job.base, trainer.trunk, ppo.max_prompt_tokens + ppo.max_new_tokens)


def _finish_step(job: PpoJob, trainer: "PpoTrainer", log: RunLog | None, step: int, metrics: dict[str, float]) -> None:
    """What the main process, which alone has a log, does after a step: log, stop what has diverged, checkpoint."""
    settings = job.recipe.ppo
    if log is None:
        return
    log.step(step, metrics, _note(metrics))
    log.warn(signs(log.history))
    if reason := diverged(log.history, settings.stop):
        raise FgctlError(
            f"Stopped at step {step + 1}: {reason}. Lower ppo.learning_rate or raise ppo.kl.coefficient; "
            f"the log and the checkpoint before it are in {job.run}."
        )
    if (step + 1) % settings.checkpoint_every == 0 or step + 1 == settings.steps:
        save_checkpoint(job.run, trainer.state(step + 1))


def _note(metrics: dict[str, float]) -> str:
    return (
        f"reward {metrics['reward/weighted']:+.2f}, KL {metrics['kl/response']:.1f}, "
        f"{metrics['length/tokens']:.0f} tokens"
    )


@dataclass
class PpoTrainer:
    """Everything a run carries from step to step. Every process of the run has one, and all have the same state."""

    trunk: Trunk
    scorer: Scorer
    weights: Weights
    recipe: Recipe
    examples: list[Example]
    processes: Processes = field(default_factory=Processes)

    def __post_init__(self) -> None:
        ppo = self.recipe.ppo
        torch.manual_seed(ppo.seed)
        self.estimator = make_estimator(
            ppo.estimator, self.trunk.hidden_size, ppo.gamma, ppo.max_grad_norm, self.processes
        )
        self._kl = KlController(ppo.kl)
        self._parameters = self.trunk.policy_parameters()
        self._optimizer = torch.optim.AdamW(self._parameters.values(), lr=ppo.learning_rate, eps=1e-5, weight_decay=0.0)
        self._formatter = PromptFormatter(self.trunk.tokenizer, ppo.max_prompt_tokens)
        self._probe = self._formatter.format(self.examples[0].question, []).token_ids
        self._probed: list[float] | None = None
        self._updated = False

    def state(self, step: int) -> dict[str, Any]:
        """What a checkpoint holds. Data order and sampling depend on the seed and the step alone."""
        return {
            "step": step,
            "adapter": {name: p.detach() for name, p in self._parameters.items()},
            "optimizer": self._optimizer.state_dict(),
            "estimator": self.estimator.state(),
            "kl": self._kl.state(),
        }

    def restore(self, state: dict[str, Any] | None) -> int:
        """Take over a checkpoint; returns the step to go on with."""
        if state is None:
            return 0
        with torch.no_grad():
            for name, value in state["adapter"].items():
                self._parameters[name].copy_(value)
        self._optimizer.load_state_dict(state["optimizer"])
        self.estimator.restore(state["estimator"])
        self._kl.restore(state["kl"])
        return int(state["step"])

    def step(self, step: int, sampler: Sampler) -> dict[str, float]:
        """Sample, score, place credit, update the policy. Returns the step's metrics, of all processes."""
        ppo, clock, processes = self.recipe.ppo, Clock(), self.processes
        order = list(range(ppo.prompts_per_step))
        random.Random(f"ppo-{ppo.seed}-{step}").shuffle(order)  # noqa: S311 - not for secrets
        own = sorted(processes.own(order))  # an even share of every minibatch
        with clock.phase("rollout"):
            examples = step_examples(self.examples, step, ppo)
            formatted = [self._formatter.format(e.question, e.passages) for e in examples]
            prompts = [prompt.token_ids for prompt in formatted]
            # Judged against the passages the policy was shown, as in the service and in evaluation.
            shown = [e.model_copy(update={"passages": p.passages}) for e, p in zip(examples, formatted, strict=True)]
            self._synchronise(sampler, step)
            rollout = sample_and_score(
                sampler, {i: (prompts[i], shown[i]) for i in own}, ppo, ppo.seed * 100_003 + step,
                decode=self.trunk.decode, score=self.scorer.score,
            )  # fmt: skip
            together = processes.merge(rollout.samples)
            batch = make_batch(prompts, [together[i] for i in range(len(prompts))], self.trunk.eos, own)
        with clock.phase("score"):
            requests = requests_of(batch, shown, self.trunk.decode)
            streams = reward_streams(
                batch, requests, rollout.scores(), self.scorer.categories, self.trunk.tokenizer, ppo.pay
            ).completed(processes)
        with clock.phase("evaluate"):
            idle = idle_row(self.trunk.eos)
            minibatches = [
                processes.level(rows, idle)
                for rows in batch.minibatches(order, ppo.minibatches, self.recipe.forward_tokens)
            ]
            rows = [row for minibatch in minibatches for row in minibatch]
            wants_features = self.estimator.wants_features
            evaluated = evaluate_batch(self.trunk, batch, rows, features=wants_features).completed(processes)
        gap = self._check_sampler(batch, evaluated.policy)
        kl, _ = kl_estimates(evaluated.policy, evaluated.reference)
        cut = ppo.missing_end_penalty * at_the_end(batch.truncated.float(), batch.mask)
        task = weighted(streams.rewards, streams.categories, self.weights) - cut
        goal, holistic = task, {}
        if ppo.objective == "holistic":
            preferred = self._preference(batch, streams)
            goal, holistic = at_the_end(preferred, batch.mask) - cut, {"reward/holistic": preferred.mean().item()}
        advantages = self.estimator.advantages(goal - self._kl.coefficient * kl * batch.mask, batch, evaluated.features)
        with clock.phase("update"):
            update: dict[str, float] = {}
            if step >= ppo.first_policy_step:
                update = self._update_policy(step, minibatches, evaluated.policy, whiten(advantages, batch.mask))
            learned = self.estimator.learn()
        metrics = step_metrics(batch, streams, task, evaluated, self.weights)
        penalty = {"kl/coefficient": self._kl.coefficient}
        self._kl.update(metrics["kl/response"], len(streams.texts))
        return (
            metrics
            | holistic
            | penalty
            | learned
            | {f"policy/{name}": value for name, value in update.items()}
            | {"sampler/logprob_gap": gap}
            | {f"seconds/{name}": value for name, value in clock.seconds.items()}
            | {"episodes_per_minute": 60 * len(streams.texts) / sum(clock.seconds.values())}
        )

    def _preference(self, batch: Batch, streams: Streams) -> Tensor:
        """The preference model's reward of each response: the chance of beating an average one, in [-1, 1]."""
        own, preferred = batch.own_samples, torch.zeros(len(batch.mask))
        requests = [streams.requests[b] for b in own.tolist()]
        preferred[own] = 2 * torch.tensor(self.scorer.feedback.preference(requests)).sigmoid() - 1
        return self.processes.sum(preferred)[0]

    def _synchronise(self, sampler: Sampler, step: int) -> None:
        """Hand the sampler the policy's weights, and check that an update since the last step has reached it."""
        sampler.synchronise(self.trunk, step)
        probed = sampler.logprobs(self._probe)
        if self._updated and probed == self._probed:
            raise FgctlError(
                "The sampler's log-probabilities did not change after an update, so it did not take over the "
                "weights; try ppo.rollouts=transformers."
            )
        self._probed, self._updated = probed, False

    def _check_sampler(self, batch: Batch, old: Tensor) -> float:
        """Mean absolute difference of sampler and trainer (nats a token); bf16 explains a few hundredths."""
        gap = (old - batch.sampler_logprobs)[batch.mask].abs().mean().item()
        if gap > self.recipe.ppo.logprob_tolerance:
            raise FgctlError(
                f"The sampler's log-probabilities are {gap:.3f} nats a token from the trainer's, over "
                f"ppo.logprob_tolerance; its weights are not the policy's, so try ppo.rollouts=transformers."
            )
        return gap

    def _update_policy(
        self, step: int, minibatches: Sequence[list[Row]], old: Tensor, advantages: Tensor
    ) -> dict[str, float]:
        ppo = self.recipe.ppo
        for group in self._optimizer.param_groups:
            group["lr"] = ppo.learning_rate * min(1.0, (step - ppo.first_policy_step + 1) / (ppo.warmup_steps + 1))
        history = [self._update_minibatch(rows, old, advantages) for _ in range(ppo.ppo_epochs) for rows in minibatches]
        return {name: sum(h[name] for h in history) / len(history) for name in history[0]} if history else {}

    def _update_minibatch(self, rows: Sequence[Row], old: Tensor, advantages: Tensor) -> dict[str, float]:
        """One optimiser step on the minibatch's mean loss over tokens; rows are the micro-batches it accumulates over.

        Loss and clipped share are summed over the processes, as the gradients are.
        """
        (tokens,) = self.processes.sum(torch.tensor(sum(len(row.samples) for row in rows)))
        total = int(tokens)
        report = {"loss": 0.0, "clip_fraction": 0.0, "approximate_kl": 0.0}
        for row in rows:
            now = row.evaluate(self.trunk, "policy", grad=True).logprobs.cpu()
            at = (row.samples, row.steps)
            result = policy_loss(now, old[at], advantages[at], clip_range=self.recipe.ppo.clip_range, normaliser=total)
            result.loss.backward()
            share = len(row.samples) / total
            report["loss"] += result.loss.item()
            report["clip_fraction"] += share * result.clip_fraction
            report["approximate_kl"] += share * result.approximate_kl
        (summed,) = self.processes.sum(torch.tensor(list(report.values()), dtype=torch.float64))
        report = dict(zip(report, summed.tolist(), strict=True))
        self.processes.sum_gradients(self._parameters.values())
        # The same everywhere, and so is the decision to skip.
        norm = torch.nn.utils.clip_grad_norm_(self._parameters.values(), self.recipe.ppo.max_grad_norm)
        finite = bool(torch.isfinite(norm))
        if finite:
            self._optimizer.step()
            self._updated = True
        self._optimizer.zero_grad(set_to_none=True)
        return report | {"grad_norm": norm.item() if finite else 0.0, "skipped": 0.0 if finite else 1.0}


def step_examples(examples: list[Example], step: int, ppo: PpoRecipe) -> list[Example]:
    """The questions of a step: every epoch goes through all of them in a new order that the seed alone decides."""
    first = step * ppo.prompts_per_step
    chosen = []
    for position in range(first, first + ppo.prompts_per_step):
        epoch, index = divmod(position, len(examples))
        order = list(range(len(examples)))
        random.Random(f"prompts-{ppo.seed}-{epoch}").shuffle(order)  # noqa: S311
        chosen.append(examples[order[index]])
    return chosen


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
