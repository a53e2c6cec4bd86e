"""Supervised fine-tuning: trains the parent adapter, from which every policy starts and to which it is kept close."""

import math
import random
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from policies.base import BaseModel, load_tokenizer
from policies.control_tokens import ControlTokens
from policies.manifest import Named, PolicyManifest
from policies.prompt import PromptFormatter
from policies.store import SFT, PolicyStore
from policies.trunk import require_mergeable
from rewards.dataset import Example
from trainer.packing import Group, bins, pack
from trainer.policy_model import PolicyModel
from trainer.processes import Processes
from trainer.recipe import Recipe, SftRecipe
from trainer.tracking.checkpoint import claim_run, load_checkpoint, require_space, save_checkpoint, sole_training
from trainer.tracking.run_copy import RunCopy, keep_copy
from trainer.tracking.run_log import RunLog
from trainer.tracking.stability import require_finite
from trainer.tracking.training_data import digests, named_files, read_training_data

CHECKPOINT_EVERY = 10


@dataclass(frozen=True)
class SftJob:
    """Which data to train on, with which settings, and in which directory."""

    base: BaseModel
    data: Path
    recipe_name: str
    recipe: Recipe
    run: Path
    further: tuple[Path, ...] = ()
    """Files with further examples, after those of `data`."""
    copy: RunCopy | None = None
    """Where the run is copied to, for any machine to continue it."""


def train_sft(job: SftJob, store: PolicyStore, processes: Processes | None = None) -> PolicyManifest:
    """Train the supervised parent and store it; an interrupted run is resumed.

    Every process of the run calls it and gets the manifest; only the main one writes. Raises FgctlError for unusable
    data, for a base that cannot be trained, for a run directory that is in use or has other settings, for a store that
    cannot be written, and at the first loss that is not finite.
    """
    processes = processes or Processes()
    with sole_training(job.run, processes):
        return _train(job, store, processes)


def _train(job: SftJob, store: PolicyStore, processes: Processes) -> PolicyManifest:
    settings = job.recipe.sft
    processes.on_main(partial(store.require_writable, SFT))
    data = read_training_data(job.data, load_tokenizer(job.base), job.recipe, "sft", further=job.further)
    sources = named_files(job.data, job.further)
    training = data.examples[: settings.max_examples]
    identity = {
        "kind": "sft",
        "base": job.base.digest,
        "data": digests(sources),
        # How often the loss is measured changes nothing, and gradient checkpointing nothing but rounding.
        "recipe": job.recipe.model_dump(
            mode="json", exclude={"ppo": True, "sft": {"validation_steps"}, "gradient_checkpointing": True}
        ),
    }
    if job.copy is not None:
        processes.on_main(job.copy.fetch)
    processes.on_main(partial(claim_run, job.run, identity))
    model = PolicyModel(
        job.base, job.recipe.parent_lora, processes=processes, recompute=job.recipe.gradient_checkpointing,
        longest=settings.max_prompt_tokens + settings.max_response_tokens,
    )  # fmt: skip
    groups, unseen = (encode_examples(part, model, settings) for part in (training, data.validation))
    batches = batch_order(len(groups), settings)
    parameters = model.policy_parameters()
    if settings.merge:
        require_mergeable(job.base.path, {name.partition(".lora_")[0] for name in parameters})
    require_space(job.run, sum(p.numel() for p in parameters.values()))
    optimizer = torch.optim.AdamW(parameters.values(), lr=settings.learning_rate, weight_decay=0.0)
    start = _restore(processes.on_main(partial(load_checkpoint, job.run)), parameters, optimizer)
    log = RunLog(job.run, "sft", total=len(batches), start=start) if processes.main else None
    with log or nullcontext():
        for step in range(start, len(batches)):
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * cosine_schedule(step, len(batches), settings.warmup_ratio)
            batch = [groups[i] for i in batches[step]]
            loss, norm = update(model, batch, optimizer, job.recipe.forward_tokens, processes)
            metrics, note = {"sft/loss": loss, "sft/grad_norm": norm}, f"loss {loss:.3f}"
            if unseen and ((step + 1) % settings.validation_steps == 0 or step + 1 == len(batches)):
                metrics["sft/validation_loss"] = validation_loss(model, unseen, job.recipe.forward_tokens, processes)
                note += f", validation {metrics['sft/validation_loss']:.3f}"
            if log is not None:
                log.step(step, metrics, note)
            if (step + 1) % CHECKPOINT_EVERY == 0 or step + 1 == len(batches):
                processes.on_main(partial(_save, job, step + 1, parameters, optimizer, log))
    manifest = {
        "weights": None,
        "base": Named(name=job.base.name, digest=job.base.digest),
        "parent": None,
        "recipe": {"name": job.recipe_name, "lora": job.recipe.parent_lora.model_dump(mode="json")}
        | job.recipe.model_dump(include={"sft": True}, exclude={"sft": {"lora"}}, mode="json"),
        "data": sources,
        "rewards": None,
        "steps": len(batches),
        "episodes": sum(map(len, batches)),
        "scores": {},
        "merged": settings.merge,
    }

    def write() -> PolicyManifest:
        model.save_adapter(job.run / "adapter")
        return store.write(SFT, job.run / "adapter", manifest)

    return processes.on_main(write)


def encode_examples(examples: list[Example], model: PolicyModel, settings: SftRecipe) -> list[Group]:
    """Prompts with their reference answers, which end with the end-of-text token; too long answers are left out."""
    formatter, controls = PromptFormatter(model.tokenizer, settings.max_prompt_tokens), ControlTokens(model.tokenizer)
    groups = []
    for example in examples:
        answer = controls.encode_as_text(example.answer)
        if 0 < len(answer) < settings.max_response_tokens:
            prompt = formatter.format(example.question, example.passages)
            groups.append(Group(prompt.token_ids, [[*answer, model.eos]]))
    return groups


def batch_order(examples: int, settings: SftRecipe) -> list[list[int]]:
    """The indices of every optimiser step's examples, in an order that depends on seed and epoch."""
    order: list[list[int]] = []
    for epoch in range(settings.epochs):
        indices = list(range(examples))
        random.Random(f"sft-{settings.seed}-{epoch}").shuffle(indices)  # noqa: S311
        order += [indices[i : i + settings.batch_size] for i in range(0, examples, settings.batch_size)]
    return order


def cosine_schedule(step: int, total: int, warmup_ratio: float) -> float:
    """The learning rate at a step, as a share of the peak: linear warm-up, then a cosine down to a tenth."""
    warmup = max(1, round(total * warmup_ratio))
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / max(1, total - warmup)
    return 0.1 + 0.45 * (1 + math.cos(math.pi * progress))


def update(
    model: PolicyModel, groups: list[Group], optimizer: torch.optim.Optimizer, forward_tokens: int, processes: Processes
) -> tuple[float, float]:
    """One optimiser step on the mean loss over the batch's answer tokens. Returns loss and gradient norm.

    Every process takes its share of the batch and accumulates gradients row by row. Raises FgctlError for a loss or
    gradient that is not finite.
    """
    tokens = sum(len(response) for group in groups for response in group.responses)
    own = processes.own(groups)
    rows = processes.level([[own[i] for i in row] for row in bins(own, forward_tokens)], [Group([model.eos], [[]])])
    total = 0.0
    for row in rows:
        logprobs: Tensor = model.evaluate(pack(row), grad=True).logprobs
        loss = -logprobs.sum() / tokens
        loss.backward()
        total += loss.item()
    (summed,) = processes.sum(torch.tensor(total, dtype=torch.float64))
    require_finite("The loss is", summed)
    processes.sum_gradients(model.policy_parameters().values())
    norm = torch.nn.utils.clip_grad_norm_(model.policy_parameters().values(), 1.0)
    require_finite("The gradient is", norm)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return summed.item(), norm.item()


def validation_loss(model: PolicyModel, groups: list[Group], forward_tokens: int, processes: Processes) -> float:
    """The mean loss over the answer tokens of examples that are not trained on, in nats a token."""
    own = processes.own(groups)
    rows = processes.level([[own[i] for i in row] for row in bins(own, forward_tokens)], [Group([model.eos], [[]])])
    total = sum(-model.evaluate(pack(row)).logprobs.double().sum().item() for row in rows)
    (summed,) = processes.sum(torch.tensor(total, dtype=torch.float64))
    return summed.item() / sum(len(response) for group in groups for response in group.responses)


def _save(
    job: SftJob,
    step: int,
    parameters: dict[str, torch.nn.Parameter],
    optimizer: torch.optim.Optimizer,
    log: RunLog | None,
) -> None:
    adapter = {name: p.detach() for name, p in parameters.items()}
    save_checkpoint(job.run, {"step": step, "adapter": adapter, "optimizer": optimizer.state_dict()})
    keep_copy(job.copy, step, log)


def _restore(
    state: dict[str, Any] | None, parameters: dict[str, torch.nn.Parameter], optimizer: torch.optim.Optimizer
) -> int:
    if state is None:
        return 0
    with torch.no_grad():
        for name, value in state["adapter"].items():
            parameters[name].copy_(value)
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])
