"""Which sampler a run gets: vLLM in this process, transformers, or vLLM servers."""

import importlib.util
from pathlib import Path
from typing import Literal

from policies.base import BaseModel
from trainer.policy_model import PolicyModel
from trainer.processes import Processes
from trainer.recipe import PpoRecipe
from trainer.rollouts.sampler import Sampler


def make_sampler(
    kind: Literal["auto", "vllm", "transformers"], base: BaseModel, model: PolicyModel, max_tokens: int
) -> Sampler:
    """A sampler in this process, of that kind; `max_tokens` bounds prompt and response together."""
    if kind == "vllm" or (kind == "auto" and importlib.util.find_spec("vllm") is not None):
        from trainer.rollouts.vllm import VllmSampler

        return VllmSampler(base, max_tokens, model.temperature)
    from trainer.rollouts.transformers import TransformersSampler

    return TransformersSampler(model)


def training_sampler(
    ppo: PpoRecipe, base: BaseModel, model: PolicyModel, processes: Processes, directory: Path
) -> Sampler:
    """The sampler that a recipe names; servers load the policy's adapters from `directory`."""
    if ppo.rollouts == "server":
        from trainer.rollouts.server import ServerSampler

        return ServerSampler(ppo.rollout_servers, directory, model, processes)
    return make_sampler(ppo.rollouts, base, model, ppo.max_prompt_tokens + ppo.max_new_tokens)
