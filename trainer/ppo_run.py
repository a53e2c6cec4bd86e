"""A PPO run: from the supervised parent to a stored version, step by step, with its log and checkpoints."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from policies.base import BaseModel, load_tokenizer
from policies.manifest import Named, PolicyManifest
from policies.store import PolicyStore
from policies.weights import Weights
from rewards.dataset import questions_digest
from rewards.errors import FgctlError
from rewards.models.judge import Judge
from rewards.protocol import ResponseScorer
from rewards.scorer import Scorer
from trainer.bases.parent_shape import parent_shape
from trainer.evaluation.answers import GREEDY, MAX_PROMPT_TOKENS
from trainer.evaluation.candidates import Candidate
from trainer.policy_model import PolicyModel
from trainer.ppo import PpoTrainer
from trainer.processes import Processes
from trainer.recipe import PpoRecipe, Recipe
from trainer.rollouts.choose_sampler import training_sampler
from trainer.tasks.qa import TASK as QUESTION_ANSWERING
from trainer.tasks.task import Task
from trainer.tracking.checkpoint import claim_run, load_checkpoint, require_space, save_checkpoint, sole_training
from trainer.tracking.run_copy import RunCopy, keep_copy
from trainer.tracking.run_log import RunLog
from trainer.tracking.stability import diverged, early_warnings
from trainer.tracking.training_data import digests, named_files
from trainer.validation.selection import RULE
from trainer.validation.validator import BEST, Validator
from trainer.warm_start import warm_start


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
    until_best: bool = False
    """Whether to store the best checkpoint on the validation questions, and to end when there is no better one to
    come (trainer.validation.selection); if not, the last one is stored after all steps."""
    further: tuple[Path, ...] = ()
    """Files with further questions, after those of `data`."""
    copy: RunCopy | None = None
    """Where the run is copied to, for any machine to continue it."""
    task: Task = QUESTION_ANSWERING
    start_from: str | None = None
    """A stored policy on the same parent, `profile` or `profile@version`, that the new one begins as."""


class Diverged(FgctlError):
    """A run that was stopped because it had diverged."""


def train_policy(
    job: PpoJob,
    store: PolicyStore,
    scorer: ResponseScorer,
    processes: Processes | None = None,
    load_judge: Callable[[], Judge] | None = None,
) -> PolicyManifest:
    """Train a policy and store it as a new version; an interrupted run is resumed.

    With a judge, the policy is evaluated on the validation questions while it is trained; `until_best` needs one.
    Every process of the run calls it and gets the manifest; only the main one writes. Raises FgctlError when the base
    has no supervised parent or cannot be trained, for a policy that cannot be started from, for unusable data, for
    weights of a category that is not in use, for a run directory that is in use or has other settings, for a store that
    cannot be written, for a recipe that the parent or the processes do not allow, when the sampler's weights are not
    the trainer's, and at the first loss that is not finite.
    """
    job.weights.check(scorer.categories)
    scorer.require_rewards()
    processes = processes or Processes()
    with sole_training(job.run, processes):
        return _train(job, store, scorer, processes, load_judge)


def _train(
    job: PpoJob,
    store: PolicyStore,
    scorer: ResponseScorer,
    processes: Processes,
    load_judge: Callable[[], Judge] | None,
) -> PolicyManifest:
    processes.on_main(partial(store.require_writable, job.profile))
    check_shares(job.recipe.ppo, processes)
    begin = job.task.origin(job.base, store)
    origin, parent = begin.files, begin.parent
    first = warm_start(job.start_from, store, job.base, begin) if job.start_from else None
    lora = job.recipe.lora if origin.adapter is None else parent_shape(job.recipe.lora, origin.adapter, job.base)
    data = job.task.training_data(
        job.data, load_tokenizer(job.base), job.recipe, until_best=job.until_best, further=job.further
    )
    sources = named_files(job.data, job.further)
    settings = {
        "kind": "ppo",
        "base": origin.model.digest,
        "data": digests(sources),
        "questions": questions_digest(example.question for example in data.examples),
        "parent": parent.version if parent else None,
        "rewards": scorer.version,
        "weights": job.weights.as_dict(),
        "recipe": _identifying(job.recipe),
        **({} if job.task == QUESTION_ANSWERING else {"task": job.task.name}),
        **({} if first is None else {"start_from": first.name}),
    }
    if job.copy is not None:
        processes.on_main(job.copy.fetch)
    processes.on_main(partial(claim_run, job.run, settings))
    ppo = job.recipe.ppo
    model = PolicyModel(
        origin.model, lora, origin.adapter, ppo.temperature, processes, recompute=job.recipe.gradient_checkpointing,
        longest=ppo.max_prompt_tokens + ppo.max_new_tokens,
    )  # fmt: skip
    if first is not None:
        first.load_into(model)
    require_space(job.run, sum(p.numel() for p in model.policy_parameters().values()))
    trainer = PpoTrainer(model, scorer, job.weights, job.recipe, data.examples, processes, job.task)
    start = trainer.restore(processes.on_main(partial(load_checkpoint, job.run)))
    validator = None
    if load_judge is not None and data.validation:
        candidate = Candidate(job.profile, "", job.weights, origin)
        validator = Validator(job.run, data.validation, candidate, cast(Scorer, scorer), load_judge, ppo, processes)
        validator.resume(start)
    _run_steps(job, trainer, origin.model, start, validator)
    steps = max(start, ppo.steps)
    chosen = validator.best if job.until_best and validator else None
    if chosen is not None:
        steps = trainer.restore(processes.on_main(partial(load_checkpoint, job.run, BEST)))
    manifest = {
        "weights": job.weights,
        "base": Named(name=origin.model.name, digest=origin.model.digest),
        "parent": parent,
        "recipe": {"name": job.recipe_name}
        | job.recipe.model_copy(update={"lora": lora}).model_dump(exclude={"sft"}, mode="json")
        | ({} if first is None else {"start_from": first.name})
        | ({} if chosen is None else {"until_best": {"rule": RULE, "evaluation": chosen.figures()}}),
        "data": sources,
        "rewards": job.task.used_rewards(scorer),
        "steps": steps,
        "episodes": steps * ppo.episodes_per_step,
        "scores": {},
    }

    def write() -> PolicyManifest:
        model.save_adapter(job.run / "adapter")
        return store.write(job.profile, job.run / "adapter", manifest)

    return processes.on_main(write)


def _identifying(recipe: Recipe) -> dict[str, Any]:
    """The settings by which a run is continued: those that more than rounding depends on.

    A finished run may be given more steps, unless its learning rate depends on their number. How a run is watched does
    not change it either.
    """
    ppo = {"validation", "rollout_servers", "rollout_chunks"} | ({"steps"} if recipe.ppo.decay_to == 1 else set())
    return recipe.model_dump(mode="json", exclude={"sft": True, "gradient_checkpointing": True, "ppo": ppo})


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


def _run_steps(job: PpoJob, trainer: "PpoTrainer", base: BaseModel, start: int, validator: Validator | None) -> None:
    """Take the steps that are left, with the evaluations that are due before, between and after them."""
    settings, processes = job.recipe.ppo, trainer.processes
    if _finished(job, start, validator):
        return
    least = 0 if validator is None else min(MAX_PROMPT_TOKENS + GREEDY.max_tokens, trainer.model.positions)
    sampler = training_sampler(settings, base, trainer.model, processes, job.run / "rollouts", least)
    try:
        log = RunLog(job.run, job.profile, total=settings.steps, start=start) if processes.main else None
        reason = ""
        with log or nullcontext():
            for step in range(start, max(start, settings.steps) + 1):
                if validator is not None:
                    validator.catch_up(step, trainer.model, sampler, partial(trainer.state, step), log)
                if _finished(job, step, validator):
                    break
                metrics = trainer.step(step, sampler)
                try:
                    processes.on_main(partial(_finish_step, job, trainer, log, step, metrics, validator))
                except Diverged as error:
                    if not (job.until_best and validator and validator.best):
                        raise
                    reason = str(error).removesuffix(".")
                    break
            if log and job.until_best and validator and validator.best:
                reason = reason or validator.end or "all steps are taken"
                log.say(step, f"{reason}; the best checkpoint is the one after {validator.best.episodes} episodes")
            processes.on_main(partial(keep_copy, job.copy, step, log))
    finally:
        sampler.close()


def _finished(job: PpoJob, step: int, validator: Validator | None) -> bool:
    """Whether a run ends after so many steps: all are taken, or --until-best expects nothing better."""
    if validator is not None:
        if validator.waits(step):
            return False
        if job.until_best and validator.end:
            return True
    return step >= job.recipe.ppo.steps


def _finish_step(
    job: PpoJob,
    trainer: "PpoTrainer",
    log: RunLog | None,
    step: int,
    metrics: dict[str, float],
    validator: Validator | None,
) -> None:
    """On the main process, the only one with a log: log the step, stop a run that has diverged, save a checkpoint."""
    settings = job.recipe.ppo
    if log is None:
        return
    log.samples(step, trainer.samples[0].question, [request.response for request in trainer.samples])
    log.step(step, metrics, _note(metrics))
    log.warn(early_warnings(log.history))
    if reason := diverged(log.history, settings.stop):
        raise Diverged(
            f"Stopped at step {step + 1}: {reason}. Lower ppo.learning_rate or raise ppo.kl.coefficient; "
            f"the log and the checkpoint before it are in {job.run}."
        )
    evaluated = validator is not None and validator.due(step + 1)
    if evaluated or (step + 1) % settings.checkpoint_every == 0 or step + 1 == settings.steps:
        save_checkpoint(job.run, trainer.state(step + 1))
        keep_copy(job.copy, step + 1, log)


def _note(metrics: dict[str, float]) -> str:
    return (
        f"reward {metrics['reward/weighted']:+.2f}, KL {metrics['kl/response']:.1f}, "
        f"{metrics['length/tokens']:.0f} tokens"
    )
