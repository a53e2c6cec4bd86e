"""Which sampler a run gets: that of the module that the recipe's `ppo.rollouts` names."""

import importlib.util
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from policies.base import BaseModel
from trainer.policy_model import PolicyModel
from trainer.processes import Processes
from trainer.recipe import PpoRecipe, RolloutBackend
from trainer.rollouts.sampler import Sampler


@dataclass(frozen=True)
class Setting:
    """What a sampler may need."""

    base: BaseModel
    model: PolicyModel
    max_tokens: int
    """Of prompt and response together."""
    servers: tuple[str, ...] = ()
    """URLs of vLLM servers."""
    engine_arguments: tuple[str, ...] = ()
    """Arguments of vLLM's engine in this process."""
    directory: Path = Path()
    """Where servers find the policy's adapters."""
    processes: Processes | None = None


class _Module(Protocol):
    """What `trainer/rollouts/NAME.py` defines."""

    def make(self, setting: Setting) -> Sampler: ...


def make_sampler(backend: RolloutBackend, setting: Setting) -> Sampler:
    """The sampler of a backend. Raises FgctlError for a base that it cannot sample from."""
    return cast(_Module, import_module(f"trainer.rollouts.{resolved(backend)}")).make(setting)


def resolved(backend: RolloutBackend) -> RolloutBackend:
    """The backend that a run gets: `auto` is vLLM where it is installed, else transformers."""
    if backend != "auto":
        return backend
    return "transformers" if importlib.util.find_spec("vllm") is None else "vllm"


def training_sampler(
    ppo: PpoRecipe, base: BaseModel, model: PolicyModel, processes: Processes, directory: Path, least_tokens: int = 0
) -> Sampler:
    """The sampler that a recipe names; servers load the policy's adapters from `directory`.

    It takes prompt and response of `least_tokens` together, or more where rollouts need more.
    """
    max_tokens = max(least_tokens, ppo.max_prompt_tokens + ppo.max_new_tokens)
    setting = Setting(base, model, max_tokens, ppo.rollout_servers, ppo.rollout_engine_args, directory, processes)
    return make_sampler(ppo.rollouts, setting)
