"""Rollouts by vLLM in this process, from merged weights, which are faster to sample from than an adapter."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from policies.base import BaseModel
from rewards.compute import compute_dtype, compute_dtype_name
from trainer.policy_model import PolicyModel
from trainer.rollouts.choose_sampler import Setting
from trainer.rollouts.sampler import Sampled

_SEQUENCES = 128
"""Responses decoded at a time, where the cache has room for them."""
_MOST_GIB = 4


class VllmSampler:
    """An offline vLLM engine whose weights are replaced before every step."""

    def __init__(self, base: BaseModel, max_tokens: int, temperature: float) -> None:
        self._temperature = temperature
        # In this process, so that weights are passed by reference. vLLM reads these variables when it is imported.
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
        os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", str(cache_gib(base.path, max_tokens)))
        os.environ.setdefault("VLLM_CPU_NUM_OF_RESERVED_CPU", "0")
        os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
        os.environ.setdefault("VLLM_LOGGING_STREAM", "ext://sys.stderr")
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
        from vllm import LLM

        self._llm: Any = LLM(
            model=str(base.path),
            dtype=compute_dtype_name(),
            max_model_len=max_tokens,
            max_num_seqs=_SEQUENCES,
            # With a seed, vLLM 0.32 rewinds a chunked prompt's generator, and crashes, as CPU generators cannot rewind.
            enable_chunked_prefill=False,
            max_num_batched_tokens=max(2048, max_tokens),
            enable_prefix_caching=True,
            # On two cores, compiling takes a minute at every start and makes sampling only a quarter faster.
            enforce_eager=not torch.cuda.is_available(),
            generation_config="vllm",
            logprobs_mode="processed_logprobs",  # after the temperature, as the trainer computes them
            distributed_executor_backend="external_launcher" if _one_of_several() else None,
            disable_log_stats=True,
            gpu_memory_utilization=0.4,
        )

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


def cache_gib(base: Path, max_tokens: int) -> int:
    """GiB of cache on a CPU for half of the responses that are decoded at a time, at full length; 1 to _MOST_GIB."""
    from transformers import AutoConfig

    config: Any = AutoConfig.from_pretrained(base)
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    a_token: int = 2 * config.num_hidden_layers * heads * width * compute_dtype().itemsize
    return min(_MOST_GIB, max(1, round(_SEQUENCES / 2 * max_tokens * a_token / 2**30)))


def _one_of_several() -> bool:
    """Whether there are several training processes; then each one's engine must join their process group."""
    return torch.distributed.is_initialized() and torch.distributed.get_world_size() > 1


def make(setting: Setting) -> VllmSampler:
    """The sampler of a run."""
    return VllmSampler(setting.base, setting.max_tokens, setting.model.temperature)
