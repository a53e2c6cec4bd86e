"""A PPO run: from the supervised parent to a stored version, step by step, with its log and checkpoints."""

from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from policies.base import BaseModel
from policies.manifest import Named, PolicyManifest, SeenFeedback, UsedRewards, Versioned
from policies.store import ADAPTER, SFT, PolicyStore
from policies.trunk import policy_files
from policies.weights import Weights
from rewards.dataset import file_digest, load_examples
from rewards.errors import FgctlError
from rewards.held_out import without_held_out
from rewards.scorer import Scorer
from trainer.policy_model import PolicyModel
from trainer.ppo import PpoTrainer
from trainer.processes import Processes
from trainer.recipe import PpoRecipe, Recipe
from trainer.rollouts.choose_sampler import training_sampler
from trainer.tracking.checkpoint import claim_run, load_checkpoint, save_checkpoint
from trainer.tracking.run_log import RunLog
from trainer.tracking.stability import diverged, early_warnings


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
    has no supervised parent, for unusable data, for weights of a category that is not in use, for a run directory with
    other settings, for a recipe that the processes cannot share, when the sampler's weights are not the trainer's, and
    at the first loss that is not finite.
    """
    job.weights.check(scorer.categories)
    scorer.require_rewards()
    processes = processes or Processes()
    check_shares(job.recipe.ppo, processes)
    if SFT not in store.profiles():
        raise FgctlError("There is no supervised parent to start from; train one with `fgctl sft --promote`.")
    parent = store.profile(SFT).version
    origin = policy_files(job.base, store, SFT, parent)
    examples = without_held_out(load_examples(job.data))
    if not examples:
        raise FgctlError(f"{job.data} leaves no question to train on; add questions outside the held-out list.")
    data_digest = file_digest(job.data)
    settings = {
        "kind": "ppo",
        "base": origin.model.digest,
        "data": data_digest,
        "parent": parent,
        "rewards": scorer.version,
        "weights": job.weights.as_dict(),
        # A finished run may be given more steps, so their number does not identify the run. Nor does the sampler, or in
        # how many parts it samples, as only rounding depends on them.
        "recipe": job.recipe.model_dump(
            mode="json", exclude={"sft": True, "ppo": {"steps", "rollout_servers", "rollout_chunks"}}
        ),
    }
    processes.on_main(partial(claim_run, job.run, settings))
    model = PolicyModel(origin.model, job.recipe.lora, origin.adapter, job.recipe.ppo.temperature, processes)
    trainer = PpoTrainer(model, scorer, job.weights, job.recipe, examples, processes)
    start = trainer.restore(processes.on_main(partial(load_checkpoint, job.run)))
    if start < job.recipe.ppo.steps:
        _run_steps(job, trainer, origin.model, start)
    steps = max(start, job.recipe.ppo.steps)
    manifest = {
        "weights": job.weights,
        "base": Named(name=origin.model.name, digest=origin.model.digest),
        "parent": Versioned(version=parent, digest=file_digest(store.path(SFT, parent) / ADAPTER)),
        "recipe": {"name": job.recipe_name} | job.recipe.model_dump(exclude={"sft"}, mode="json"),
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


def _run_steps(job: PpoJob, trainer: "PpoTrainer", base: BaseModel, start: int) -> None:
    settings, processes = job.recipe.ppo, trainer.processes
    sampler = training_sampler(settings, base, trainer.model, processes, job.run / "rollouts")
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
