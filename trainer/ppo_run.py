"""A PPO run: from the supervised parent to a stored version, step by step, with its log and checkpoints."""

from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from policies.base import BaseModel, load_tokenizer
from policies.manifest import Named, PolicyManifest, SeenFeedback, UsedRewards, Versioned
from policies.store import SFT, PolicyStore
from policies.weights import Weights
from rewards.dataset import file_digest
from rewards.errors import FgctlError
from rewards.scorer import Scorer
from trainer.bases.parent_shape import parent_shape
from trainer.policy_model import PolicyModel
from trainer.ppo import PpoTrainer
from trainer.processes import Processes
from trainer.recipe import PpoRecipe, Recipe
from trainer.rollouts.choose_sampler import training_sampler
from trainer.tracking.checkpoint import claim_run, load_checkpoint, require_space, save_checkpoint, sole_training
from trainer.tracking.run_log import RunLog
from trainer.tracking.stability import diverged, early_warnings
from trainer.tracking.training_data import read_training_data


@dataclass(frozen=True)
class PpoJob:
    """What to train, on which data, with which settings, and in which directory."""

    profile: str
    weights: Weights
    base: BaseModel
    data: Path
    recipe_name: str
    recipe: Recipe
    run: Path


def train_policy(job: PpoJob, store: PolicyStore, scorer: Scorer, processes: Processes | None = None) -> PolicyManifest:
    """Train a policy and store it as a new version; an interrupted run is resumed.

    Every process of the run calls it and gets the manifest; only the main one writes. Raises FgctlError when the base
    has no supervised parent or cannot be trained, for unusable data, for weights of a category that is not in use, for
    a run directory that is in use or has other settings, for a store that cannot be written, for a recipe that the
    parent or the processes do not allow, when the sampler's weights are not the trainer's, and at the first loss that
    is not finite.
    """
    job.weights.check(scorer.categories)
    scorer.require_rewards()
    processes = processes or Processes()
    with sole_training(job.run, processes):
        return _train(job, store, scorer, processes)


def _train(job: PpoJob, store: PolicyStore, scorer: Scorer, processes: Processes) -> PolicyManifest:
    processes.on_main(partial(store.require_writable, job.profile))
    check_shares(job.recipe.ppo, processes)
    if SFT not in store.profiles():
        raise FgctlError("There is no supervised parent to start from; train one with `fgctl sft --promote`.")
    parent = store.profile(SFT).version
    parent_path = store.verify(SFT, parent, Named(name=job.base.name, digest=job.base.digest))
    lora = parent_shape(job.recipe.lora, parent_path, job.base)
    data = read_training_data(job.data, load_tokenizer(job.base), job.recipe, "ppo")
    if not data.examples:
        raise FgctlError(" ".join(data.report()) + " Add questions outside the held-out list.")
    data_digest = file_digest(job.data)
    settings = {
        "kind": "ppo",
        "base": job.base.digest,
        "data": data_digest,
        "parent": parent,
        "rewards": scorer.version,
        "weights": job.weights.as_dict(),
        "recipe": _identifying(job.recipe),
    }
    processes.on_main(partial(claim_run, job.run, settings))
    ppo = job.recipe.ppo
    model = PolicyModel(
        job.base, lora, parent_path, ppo.temperature, processes, recompute=job.recipe.gradient_checkpointing,
        longest=ppo.max_prompt_tokens + ppo.max_new_tokens,
    )  # fmt: skip
    require_space(job.run, sum(p.numel() for p in model.policy_parameters().values()))
    trainer = PpoTrainer(model, scorer, job.weights, job.recipe, data.examples, processes)
    start = trainer.restore(processes.on_main(partial(load_checkpoint, job.run)))
    if start < job.recipe.ppo.steps:
        _run_steps(job, trainer, start)
    steps = max(start, job.recipe.ppo.steps)
    manifest = {
        "weights": job.weights,
        "base": Named(name=job.base.name, digest=job.base.digest),
        "parent": Versioned(version=parent, digest=file_digest(parent_path / "adapter_model.safetensors")),
        "recipe": {"name": job.recipe_name}
        | job.recipe.model_copy(update={"lora": lora}).model_dump(exclude={"sft"}, mode="json"),
        "data": (Named(name=job.data.name, digest=data_digest),),
        "rewards": used_rewards(scorer),
        "steps": steps,
        "episodes": steps * job.recipe.ppo.prompts_per_step * job.recipe.ppo.samples_per_prompt,
        "scores": {},
    }

    def write() -> PolicyManifest:
        model.save_adapter(job.run / "adapter")
        return store.write(job.profile, job.run / "adapter", manifest)

    return processes.on_main(write)


def _identifying(recipe: Recipe) -> dict[str, Any]:
    """The settings by which a run is continued: those that more than rounding depends on.

    A finished run may be given more steps, unless its learning rate depends on their number.
    """
    ppo = {"rollout_servers", "rollout_chunks"} | ({"steps"} if recipe.ppo.decay_to == 1 else set())
    return recipe.model_dump(mode="json", exclude={"sft": True, "gradient_checkpointing": True, "ppo": ppo})


def used_rewards(scorer: Scorer) -> UsedRewards:
    """The reward models, and the feedback they were fitted on, as policy.json names them."""
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
            f"set it to a multiple of {processes.count}."
        )
    if processes.sharded and ppo.rollouts != "server":
        raise FgctlError(
            "A base that is spread over processes (--use_fsdp) cannot sample; start vLLM servers, and set "
            "ppo.rollouts=server and ppo.rollout_servers."
        )


def _run_steps(job: PpoJob, trainer: "PpoTrainer", start: int) -> None:
    settings, processes = job.recipe.ppo, trainer.processes
    sampler = training_sampler(settings, job.base, trainer.model, processes, job.run / "rollouts")
    try:
        log = RunLog(job.run, job.profile, total=settings.steps, start=start) if processes.main else None
        with log or nullcontext():
            for step in range(start, settings.steps):
                metrics = trainer.step(step, sampler)
                processes.on_main(partial(_finish_step, job, trainer, log, step, metrics))
    finally:
        sampler.close()


def _finish_step(job: PpoJob, trainer: "PpoTrainer", log: RunLog | None, step: int, metrics: dict[str, float]) -> None:
    """On the main process, the only one with a log: log the step, stop a run that has diverged, save a checkpoint."""
    settings = job.recipe.ppo
    if log is None:
        return
    log.step(step, metrics, _note(metrics))
    log.warn(early_warnings(log.history))
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
