"""Rollouts by vLLM in this process, from merged weights, which are faster to sample from than an adapter."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from policies.base import BaseModel
from policies.engine.arguments import parse_arguments
from policies.engine.defaults import Use, default_arguments, device
from policies.engine.memory import Layout, Model
from rewards.compute import compute_dtype_name
from trainer.policy_model import PolicyModel
from trainer.rollouts.choose_sampler import Setting
from trainer.rollouts.sampler import Sampled

_SEQUENCES = 128
"""Responses decoded at a time, where the cache has room for them."""
_MOST_GIB = 4
_TRAINED = "rollouts are of the model that is trained, at its precision; leave it out"
_SAMPLES = "rollouts sample as the policy gradient assumes; leave it out"
_PARALLEL = (
    "each training process has an engine of its own, on its own device; for more, start servers by "
    "`vllm serve` with these arguments and name them in ppo.rollout_servers"
)
OWNED: Mapping[str, str] = {
    **dict.fromkeys(("model", "model_weights", "tokenizer", "tokenizer_revision", "revision", "dtype"), _TRAINED),
    **dict.fromkeys(("quantization", "enable_lora", "load_format", "weight_transfer_config"), _TRAINED),
    **dict.fromkeys(("logprobs_mode", "generation_config", "override_generation_config"), _SAMPLES),
    **dict.fromkeys((f"{kind}_parallel_size" for kind in ("tensor", "pipeline", "data")), _PARALLEL),
    **dict.fromkeys(("distributed_executor_backend", "data_parallel_backend", "worker_cls"), _PARALLEL),
    "max_model_len": "it follows from ppo.max_prompt_tokens and ppo.max_new_tokens; set these",
    "disable_log_stats": "the trainer logs what it needs; leave it out",
    "enable_log_requests": "the trainer logs what it needs; leave it out",
}
"""Arguments that the trainer sets, or whose setting would break it: why, and what to do instead."""
OWNED_ON_CPU: Mapping[str, str] = {
    "enable_chunked_prefill": "on a CPU a chunked prompt with a seed would end the engine; leave it out"
}


class VllmSampler:
    """An offline vLLM engine whose weights are replaced before every step."""

    def __init__(
        self, base: BaseModel, max_tokens: int, temperature: float, engine_arguments: Sequence[str] = ()
    ) -> None:
        """`engine_arguments` are those of the recipe's `ppo.rollout_engine_args`. Raises FgctlError."""
        self._temperature = temperature
        # In this process, so that weights are passed by reference. vLLM reads these variables when it is imported.
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
        os.environ.setdefault("VLLM_CPU_NUM_OF_RESERVED_CPU", "0")
        os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
        os.environ.setdefault("VLLM_LOGGING_STREAM", "ext://sys.stderr")
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
        arguments = rollout_arguments(base.path, max_tokens, engine_arguments)
        from vllm import LLM

        self._llm: Any = LLM(**arguments)

    def synchronise(self, model: PolicyModel, step: int = 0) -> None:
        """Load the merged weights and drop cached prefixes, which were computed with the old weights."""
        self._llm.collective_rpc("reload_weights", kwargs={"weights_iterator": model.merged_weights()})
        self._llm.reset_prefix_cache()

    def logprobs(self, tokens: Sequence[int]) -> list[float]:
        """See Sampler."""
        from vllm import SamplingParams, TokensPrompt

        (output,) = self._llm.generate(
            [TokensPrompt(prompt_token_ids=list(tokens))],
            SamplingParams(max_tokens=1, prompt_logprobs=0),
            use_tqdm=False,
        )
        return [entry[token].logprob for token, entry in zip(tokens[1:], output.prompt_logprobs[1:], strict=True)]

    def sample(
        self,
        prompts: Sequence[Sequence[int]],
        n: int,
        max_new_tokens: int,
        seed: int,
        *,
        top_p: float = 1.0,
        temperature: float | None = None,
        places: Sequence[int] | None = None,
    ) -> list[list[Sampled]]:
        """See Sampler. Every prompt has its own seed, so its samples do not depend on the rest of the batch."""
        from vllm import SamplingParams, TokensPrompt

        asked = [TokensPrompt(prompt_token_ids=list(prompt)) for prompt in prompts]
        if temperature == 0:
            greedy = SamplingParams(temperature=0, max_tokens=max_new_tokens, detokenize=False)
            outputs = self._llm.generate(asked, greedy, use_tqdm=False)
            return [[Sampled(list(output.outputs[0].token_ids), [])] for output in outputs]
        outputs = self._llm.generate(
            asked,
            [
                SamplingParams(
                    n=n,
                    temperature=self._temperature if temperature is None else temperature,
                    top_p=top_p,
                    max_tokens=max_new_tokens,
                    logprobs=0,
                    seed=seed * 10_000 + place * n,
                )
                for place in (places or range(len(prompts)))
            ],
            use_tqdm=False,
        )
        return [
            [
                Sampled(
                    list(completion.token_ids),
                    [
                        entry[token].logprob
                        for token, entry in zip(completion.token_ids, completion.logprobs, strict=True)
                    ],
                )
                for completion in output.outputs
            ]
            for output in outputs
        ]

    def close(self) -> None:
        """Shut the engine down."""
        self._llm.llm_engine.engine_core.shutdown()


def rollout_arguments(base: Path, max_tokens: int, engine_arguments: Sequence[str] = ()) -> dict[str, Any]:
    """vLLM's engine arguments: those that the recipe names, those that rollouts need, and the table's defaults.

    Raises FgctlError for arguments that cannot be given.
    """
    where = device()
    named = parse_arguments(engine_arguments, OWNED if where == "gpu" else {**OWNED, **OWNED_ON_CPU})
    cache = cache_gib(base, max_tokens) << 30 if where == "cpu" else 0
    use = Use(max_tokens, cache, _SEQUENCES, beside_training=True)
    needed = {
        "model": str(base),
        "dtype": compute_dtype_name(),
        "max_model_len": max_tokens,
        "generation_config": "vllm",
        "logprobs_mode": "processed_logprobs",  # after the temperature, as the trainer computes them
        "distributed_executor_backend": "external_launcher" if _one_of_several() else None,
        "disable_log_stats": True,
    }
    return {**default_arguments(use, where), **needed, **named}


def cache_gib(base: Path, max_tokens: int) -> int:
    """GiB of cache on a CPU for half of the responses that are decoded at a time, at full length; 1 to _MOST_GIB."""
    a_token = Model.of(base).token_bytes(Layout(), compute_dtype_name())
    return min(_MOST_GIB, max(1, round(_SEQUENCES / 2 * max_tokens * a_token / 2**30)))


def _one_of_several() -> bool:
    """Whether there are several training processes; then each one's engine must join their process group."""
    return torch.distributed.is_initialized() and torch.distributed.get_world_size() > 1


def make(setting: Setting) -> VllmSampler:
    """The sampler of a run."""
    return VllmSampler(setting.base, setting.max_tokens, setting.model.temperature, setting.engine_arguments)
