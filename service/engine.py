"""The vLLM engine: one base, several resident adapters, one adapter a request."""

import json
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from policies.base import BaseModel
from policies.store import ADAPTER_CONFIG
from service.environment import prepare_environment
from service.roster import ServedPolicy
from service.settings import Settings

if TYPE_CHECKING:
    from vllm import SamplingParams
    from vllm.logprobs import Logprob
    from vllm.lora.request import LoRARequest

PROBE = "Question: Where does the story take place?\nAnswer: It takes place in a small town by the sea, in 1952."
"""Text whose log-probabilities tell adapters from the base and from each other."""
SAME_LOGPROB = 1e-4
"""Two adapters whose log-probabilities differ by less than this on every token (nats) answer alike."""


@dataclass(frozen=True)
class TokenLogprob:
    """A token's text and log-probability, in nats, under the distribution before temperature and truncation."""

    text: str
    logprob: float
    alternatives: tuple[tuple[str, float], ...] = ()
    """The likeliest tokens in its place, with theirs."""


@dataclass(frozen=True)
class Piece:
    """What one completion of a request has grown by."""

    text: str
    tokens: int
    finish_reason: str | None
    """None until the completion's last piece."""
    index: int = 0
    """Which of the request's completions."""
    logprobs: tuple[TokenLogprob, ...] = ()
    """Of the new tokens, where the request asks for them."""


class EngineGone(Exception):
    """The engine process has died."""


class Engine:
    """AsyncLLM with the adapters of a roster."""

    def __init__(self, llm: Any) -> None:
        """Use `Engine.start`."""
        self._llm = llm

    @classmethod
    def start(cls, base: BaseModel, policies: Sequence[ServedPolicy], settings: Settings) -> "Engine":
        """Start the engine process and load the base (18 s on two cores). Adapters follow by `load`."""
        prepare_environment(settings.kv_cache_gib)
        from vllm import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM

        args = AsyncEngineArgs(**engine_arguments(base, policies, settings))
        return cls(AsyncLLM.from_engine_args(args))

    async def load(self, policy: ServedPolicy) -> None:
        """Make an adapter resident. Raises whatever the engine says of an adapter that it cannot load."""
        await self._llm.add_lora(_lora_request(policy))

    async def probe(self, policy: ServedPolicy | None) -> list[float]:
        """Log-probabilities, in nats, of PROBE's tokens under a policy, or under the base for None."""
        from vllm import SamplingParams

        outputs = self._llm.generate(
            PROBE,
            SamplingParams(max_tokens=1, prompt_logprobs=0),
            request_id=f"probe-{policy.adapter_name if policy else 'base'}",
            lora_request=_lora_request(policy),
        )
        async for output in outputs:
            tokens, entries = output.prompt_token_ids[1:], output.prompt_logprobs[1:]
        return [entry[token].logprob for token, entry in zip(tokens, entries, strict=True)]

    async def generate(
        self, prompt: Sequence[int], params: "SamplingParams", policy: ServedPolicy | None, request_id: str
    ) -> AsyncGenerator[Piece, None]:
        """Generate piece by piece; closing the generator aborts the request. Raises EngineGone."""
        from vllm.inputs import TokensPrompt
        from vllm.v1.engine.exceptions import EngineDeadError

        try:
            async for output in self._llm.generate(
                TokensPrompt(prompt_token_ids=list(prompt)),
                params,
                request_id=request_id,
                lora_request=_lora_request(policy),
            ):
                for completion in output.outputs:
                    yield Piece(
                        completion.text,
                        len(completion.token_ids),
                        completion.finish_reason,
                        completion.index,
                        _logprobs(completion.token_ids, completion.logprobs or (), params.logprobs),
                    )
        except EngineDeadError:
            raise EngineGone from None

    @property
    def alive(self) -> bool:
        """Whether the engine process still works."""
        return not self._llm.errored

    def stop(self) -> None:
        """End the engine process."""
        self._llm.shutdown()


def _lora_request(policy: ServedPolicy | None) -> "LoRARequest | None":
    from vllm.lora.request import LoRARequest

    if policy is None:
        return None
    return LoRARequest(policy.adapter_name, policy.adapter_id, str(policy.path))


def _logprobs(
    tokens: Sequence[int], entries: Sequence[dict[int, "Logprob"]], alternatives: int | None
) -> tuple[TokenLogprob, ...]:
    """vLLM's entries, each the sampled token's and those of the likeliest, in this module's terms."""
    return (
        tuple(
            TokenLogprob(
                entry[token].decoded_token or "",
                entry[token].logprob,
                tuple(
                    (other.decoded_token or "", other.logprob)
                    for other in sorted(entry.values(), key=lambda one: one.rank or 0)[:alternatives]
                ),
            )
            for token, entry in zip(tokens, entries, strict=True)
        )
        if entries
        else ()
    )


def same_answers(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether two probes came from weights that answer alike."""
    return all(abs(a - b) < SAME_LOGPROB for a, b in zip(one, other, strict=True))


def engine_arguments(base: BaseModel, policies: Sequence[ServedPolicy], settings: Settings) -> dict[str, Any]:
    """vLLM's engine arguments for a base and the adapters of these policies."""
    ranks, modules = adapter_shapes(policies)
    context = settings.max_prompt_tokens + settings.max_tokens
    return {
        "model": str(base.path),
        "dtype": "bfloat16",
        "max_model_len": context,
        "max_num_seqs": settings.max_num_seqs,
        "enable_lora": True,
        # One slot more than there are policies, so that a new version can load before the old one leaves.
        "max_loras": len(policies) + 1,
        "max_lora_rank": max(ranks),
        "lora_target_modules": modules,
        "enable_prefix_caching": True,
        # With a seed, vLLM rewinds a chunked prompt's generator, which CPU generators cannot do: 0.32 crashes.
        "enable_chunked_prefill": False,
        "max_num_batched_tokens": max(2048, context),
        "generation_config": "vllm",
        "disable_log_stats": True,
        "enforce_eager": not settings.compile,
    }


def adapter_shapes(policies: Iterable[ServedPolicy]) -> tuple[list[int], list[str]]:
    """The ranks of the policies' adapters, at least one of them, and the modules that any of them changes."""
    ranks, modules = [8], set()
    for policy in policies:
        config = json.loads((policy.path / ADAPTER_CONFIG).read_text(encoding="utf-8"))
        ranks.append(int(config["r"]))
        modules.update(config["target_modules"])
    return ranks, sorted(modules) or ["q_proj"]
