"""Recipes: every setting of a training run, in TOML files, checked before a model is loaded.

A recipe is one of `recipes/`, by name (`cpu`), or the path of a TOML file with the same settings. Importable without
torch.
"""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from rewards.errors import FgctlError

RECIPES = Path(__file__).parent / "recipes"
DEFAULT_RECIPE = "cpu"


class _Config(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class LoraRecipe(_Config):
    """The shape of an adapter."""

    rank: Literal[1, 8, 16, 32, 64, 128, 256] = 8
    """Rank of the update; the values are those vLLM serves."""
    alpha: float = Field(16.0, gt=0)
    """The update is scaled by alpha / rank."""
    target_modules: Literal["attention", "all-linear"] | tuple[str, ...] = "attention"
    """Linear modules that get an update: those of attention, which keeps serving on a CPU fast, all of them, or names
    such as ["q_proj", "v_proj"]."""
    top_layers: int | None = Field(15, ge=1)
    """Adapt only this many of the last transformer layers, so that the backward pass stops there; None adapts all."""


class ParentLoraRecipe(LoraRecipe):
    """The shape of a parent's adapter that is to be merged: all linear layers, over the whole depth."""

    rank: Literal[1, 8, 16, 32, 64, 128, 256] = 16
    """Rank of the update."""
    alpha: float = Field(32.0, gt=0)
    """The update is scaled by alpha / rank."""
    target_modules: Literal["attention", "all-linear"] | tuple[str, ...] = "all-linear"
    """Linear modules that get an update, as for `lora`."""
    top_layers: int | None = Field(None, ge=1)
    """Adapt only this many of the last transformer layers; None adapts all."""


class SftRecipe(_Config):
    """Supervised fine-tuning of the parent adapter on reference answers."""

    lora: ParentLoraRecipe | None = None
    """Shape of the parent's adapter, if it differs from `lora`."""
    merge: bool = False
    """Whether policies are trained and served on the base with the parent merged into it, as new adapters of the shape
    `lora`; otherwise each continues the parent's adapter, in the parent's shape."""
    epochs: int = Field(1, ge=1)
    """Passes over the training split."""
    max_examples: int | None = Field(None, ge=1)
    """Train on only this many examples, the first ones."""
    batch_size: int = Field(16, ge=1)
    """Examples in an optimiser step."""
    learning_rate: float = Field(1e-3, gt=0)
    """Peak rate of AdamW, reached after the warm-up and decayed to a tenth along a cosine."""
    warmup_ratio: float = Field(0.05, ge=0, lt=1)
    """Share of the steps spent warming up."""
    max_prompt_tokens: int = Field(768, ge=32)
    """Prompt budget; passages are cut to it."""
    max_response_tokens: int = Field(256, ge=8)
    """Longer reference answers are left out, so that every answer the model sees is complete."""
    validation: bool = True
    """Whether the loss is also measured on the validation questions: those that are listed or, of data without any of
    these, a tenth, which is not trained on then."""
    validation_steps: int = Field(30, ge=1)
    """Optimiser steps between two measurements; the last step measures, too."""
    seed: int = 0
    """Seed of the data order."""


class GaeRecipe(_Config):
    """The paper's PPO: generalised advantage estimation with a critic."""

    type: Literal["gae"] = "gae"
    """The estimator's name."""
    gae_lambda: float = Field(0.95, ge=0, le=1)
    """Bias-variance trade-off of generalised advantage estimation."""
    value_learning_rate: float = Field(1e-3, gt=0)
    """Rate of the critic's AdamW."""
    value_epochs: int = Field(8, ge=1)
    """Passes of the critic over the step's samples; as its features are fixed, they cost next to nothing."""
    value_clip_range: float = Field(0.2, gt=0)
    """How far the critic's prediction may move from its old value before its loss is clipped."""
    critic_warmup_steps: int = Field(2, ge=0)
    """First steps, which train only the critic; the last step of a run always updates the policy."""


class LeaveOneOutRecipe(_Config):
    """Each token's return, compared with those of its prompt's other samples; no critic."""

    type: Literal["leave_one_out"] = "leave_one_out"
    """The estimator's name."""

    @property
    def critic_warmup_steps(self) -> int:
        """There is no critic to warm up."""
        return 0


Pay = Literal["calibrated", "sign"]
EstimatorRecipe = GaeRecipe | LeaveOneOutRecipe
RolloutBackend = Literal["auto", "vllm", "transformers", "server"]


class KlRecipe(_Config):
    """How a policy is kept close to its supervised parent."""

    coefficient: float = Field(0.05, ge=0)
    """Penalty for each nat by which a token departs from the parent; adaptive control starts from it."""
    target: float | None = Field(None, gt=0)
    """Nats a response that adaptive control steers towards; None keeps the coefficient fixed."""
    horizon: int = Field(2000, ge=1)
    """Episodes in which adaptive control may change the coefficient by a factor of about e^0.2."""


class StopRecipe(_Config):
    """When a run counts as diverged and stops; its last checkpoint stays."""

    kl: float = Field(100.0, gt=0)
    """Stop above this many nats a response from the parent."""
    entropy: float = Field(0.02, ge=0)
    """Stop below this entropy, in nats a token: the policy has collapsed."""
    skipped: int = Field(3, ge=1)
    """Stop after this many steps in a row whose gradients were not finite."""


class ValidationRecipe(_Config):
    """Evaluations on the validation questions while a policy is trained (trainer.validation)."""

    every: int = Field(500, ge=1)
    """Episodes between evaluations; a run of fewer episodes is not evaluated, except with --until-best."""
    patience: int = Field(1500, ge=1)
    """With --until-best, the run ends when for so many episodes nothing has improved (trainer.validation.selection)."""
    copied_margin: float = Field(0.15, ge=0)
    """How much more of its words than the reference answers a policy may copy before the run warns."""
    texts: int = Field(4, ge=0)
    """Answers that are written to the run's directory at each evaluation."""


class PpoRecipe(_Config):
    """Fine-grained PPO of a policy adapter from its supervised parent."""

    steps: int = Field(40, ge=1)
    """Number of steps; each samples new responses."""
    prompts_per_step: int = Field(8, ge=1)
    """Questions in a step."""
    samples_per_prompt: int = Field(6, ge=1)
    """Responses sampled for each question; they share its encoding and are each other's baseline."""
    max_prompt_tokens: int = Field(512, ge=32)
    """Prompt budget; passages are cut to it."""
    max_new_tokens: int = Field(160, ge=1)
    """Most tokens of a response; one that is cut there has no end-of-text token and gets `missing_end_penalty`."""
    temperature: float = Field(0.7, gt=0, le=2)
    """The policy is softmax(logits / temperature) in sampling, in evaluation and, by default, in service."""
    learning_rate: float = Field(6e-4, gt=0)
    """Rate of the policy's AdamW (eps 1e-5) after its warm-up."""
    warmup_steps: int = Field(4, ge=0)
    """Steps, after the critic's warm-up, in which the rate rises linearly: Adam's first updates are as large as later
    ones, but follow a single noisy batch."""
    decay_to: float = Field(1.0, ge=0, le=1)
    """Share of the rate that is left at the last step; after the warm-up it falls linearly. 1 keeps the rate, so that a
    finished run can be given more steps."""
    ppo_epochs: int = Field(1, ge=1)
    """Passes over the step's samples; each makes one optimiser step for every minibatch."""
    minibatches: int = Field(1, ge=1)
    """Parts the step's prompts are split into, each one optimiser step."""
    clip_range: float = Field(0.2, gt=0)
    """PPO's clip of the probability ratio to [1 - c, 1 + c]."""
    gamma: float = Field(1.0, gt=0, le=1)
    """Discount of the return."""
    objective: Literal["fine_grained", "holistic"] = "fine_grained"
    """What is maximised: the categories' weighted rewards at their segments or, as a baseline, only the preference
    model's reward at the end."""
    pay: Pay = "calibrated"
    """What a segment earns: `calibrated`, a reward by its error probability, in the category's unit (CategorySpec), or
    `sign`, as in the paper: -1 for an error and 1 for none, and the score for completeness."""
    estimator: EstimatorRecipe = Field(LeaveOneOutRecipe(), discriminator="type")
    """How tokens get credit for returns: `gae` or `leave_one_out`."""
    kl: KlRecipe = KlRecipe()
    """The penalty for departing from the parent."""
    missing_end_penalty: float = Field(0.5, ge=0)
    """Penalty on the last token of a response that was cut at `max_new_tokens`."""
    max_grad_norm: float = Field(1.0, gt=0)
    """Gradients are clipped to this norm."""
    stop: StopRecipe = StopRecipe()
    """When to stop a run."""
    validation: ValidationRecipe = ValidationRecipe()
    """How a run is watched on questions that it is not trained on."""
    logprob_tolerance: float = Field(0.1, gt=0)
    """Largest mean absolute difference allowed between the sampler's and the trainer's log-probabilities, in nats a
    token."""
    rollouts: RolloutBackend = "auto"
    """The sampler: vLLM in this process, transformers, vLLM servers that load the adapter, or `auto`: vLLM if it is
    installed, else transformers."""
    rollout_servers: tuple[str, ...] = ()
    """The servers' addresses, such as http://gpu3:8000; they see the run's directory at the same path."""
    rollout_engine_args: tuple[str, ...] = ()
    """Arguments of vLLM's engine for rollouts in the training process, such as ["--gpu-memory-utilization", "0.6"];
    `rollouts` must then be `vllm`."""
    rollout_chunks: int = Field(1, ge=1)
    """Parts in which the step's prompts are sampled: while one is sampled, the previous one is scored. That saves time
    where scoring uses other hardware than sampling, such as a GPU's host or a service over HTTP."""
    staleness: Literal[0, 1] = 0
    """Updates by which the policy that samples may be behind. With 1, rollout servers sample the next step's responses
    while this step is learned from, which keeps both busy."""
    importance_cap: float = Field(2.0, ge=1)
    """With staleness, how much a token counts at most that the policy has become likelier to say."""
    checkpoint_every: int = Field(1, ge=1)
    """Steps between checkpoints, of some megabytes each; an interruption loses at most this many steps."""
    seed: int = 0
    """Seed of the data order and of sampling."""

    @property
    def episodes_per_step(self) -> int:
        """Responses sampled in a step."""
        return self.prompts_per_step * self.samples_per_prompt

    @model_validator(mode="after")
    def _samples_suffice(self) -> "PpoRecipe":
        if self.estimator.type == "leave_one_out" and self.samples_per_prompt < 2:
            raise ValueError("leave_one_out compares a prompt's samples, so samples_per_prompt must be 2 or more")
        return self

    @model_validator(mode="after")
    def _servers_are_named(self) -> "PpoRecipe":
        if self.rollouts == "server" and not self.rollout_servers:
            raise ValueError("rollouts=server needs ppo.rollout_servers")
        return self

    @model_validator(mode="after")
    def _servers_sample_ahead(self) -> "PpoRecipe":
        if self.staleness and self.rollouts != "server":
            raise ValueError("staleness=1 needs rollouts=server: an engine in this process has no machine of its own")
        return self

    @model_validator(mode="after")
    def _engine_is_vllms(self) -> "PpoRecipe":
        if self.rollout_engine_args and self.rollouts != "vllm":
            raise ValueError("ppo.rollout_engine_args are for rollouts=vllm; start servers with their own arguments")
        return self

    @property
    def first_policy_step(self) -> int:
        """The first step that updates the policy."""
        return min(self.estimator.critic_warmup_steps, self.steps - 1)


class Recipe(_Config):
    """A whole training run."""

    lora: LoraRecipe = LoraRecipe()
    """Shape of a policy's adapter on a merged parent, and of the parent's own unless `sft.lora` differs."""
    sft: SftRecipe = SftRecipe()
    """The supervised parent."""
    ppo: PpoRecipe = PpoRecipe()
    """The policy."""
    forward_tokens: int = Field(1024, ge=64)
    """Tokens packed into one forward pass; this bounds memory."""
    gradient_checkpointing: bool = False
    """Compute each layer a second time in the backward pass instead of keeping what it computed: a third more time for
    much less memory."""

    @property
    def parent_lora(self) -> LoraRecipe:
        """Shape of the supervised parent's adapter."""
        return self.sft.lora or self.lora

    def settings(self) -> list[tuple[str, Any, str]]:
        """Every setting: its dotted name, as `--set` takes it, its value, and its meaning."""
        return _settings(self, "")


def _settings(part: BaseModel, prefix: str) -> list[tuple[str, Any, str]]:
    rows: list[tuple[str, Any, str]] = []
    for name, field in type(part).model_fields.items():
        value = getattr(part, name)
        if isinstance(value, BaseModel):
            rows += _settings(value, f"{prefix}{name}.")
        else:
            rows.append((prefix + name, value, " ".join((field.description or "").split())))
    return rows


def load_recipe(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """Load a recipe by name or path, with dotted overrides such as `ppo.learning_rate=1e-4`.

    Raises FgctlError naming the recipes there are, or the field or override that is wrong.
    """
    path = Path(name) if name.endswith(".toml") else RECIPES / f"{name}.toml"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        names = ", ".join(sorted(file.stem for file in RECIPES.glob("*.toml")))
        raise FgctlError(f"There is no recipe {name!r}; choose {names}, or name a TOML file.") from None
    except (OSError, ValueError) as error:
        raise FgctlError(f"Recipe {path} cannot be read ({error}); fix the file.") from None
    for override in overrides:
        _apply(table, override)
    try:
        return Recipe.model_validate(table)
    except ValidationError as error:
        first = error.errors()[0]
        raise FgctlError(
            f"Recipe {name}: {'.'.join(map(str, first['loc']))}: {first['msg']}; see trainer/recipe.py for the fields."
        ) from None


def _apply(table: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals:
        raise FgctlError(f"Override {override!r} has no value; write it as ppo.steps=20.")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value
    *parents, leaf = key.strip().split(".")
    for parent in parents:
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            raise FgctlError(f"Override {override!r}: {parent!r} is not a section; see trainer/recipe.py.")
    table[leaf] = parsed
