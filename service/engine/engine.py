"""The vLLM engine: one base model, several resident adapters, one adapter for each request."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Any

from policies.adapters.lora import LoraAdapter
from policies.base import BaseModel
from policies.errors import BrokenPolicy
from rewards.compute import compute_dtype_name
from service.domain.answer import LikelyToken, Piece, TokenLogprob
from service.domain.policy import ServedPolicy
from service.engine.cpu_environment import prepare_environment
from service.engine.processes import bind_cores, kill_cores
from service.engine.token_bytes import TokenBytes
from service.errors import EngineFull, Unavailable
from service.settings import Settings

if TYPE_CHECKING:
    from vllm import SamplingParams
    from vllm.logprobs import Logprob
    from vllm.lora.request import LoRARequest

PROBE = "Question: Where does the story take place?\nAnswer: It takes place in a small town by the sea, in 1952."
"""Text whose log-probabilities distinguish adapters from the base and from each other."""
MAX_RANK = 512
"""The highest rank of an adapter that vLLM takes."""
_CHECK_SECONDS = 0.5
"""How often a call of the engine looks whether the engine still lives."""


class EngineGone(Unavailable):
    """The engine process has died."""

    def __init__(self) -> None:
        super().__init__("The engine has died and is being restarted; try again in a minute.")


class NotLoaded(Unavailable):
    """An adapter that the engine does not hold: vLLM would read it in the middle of a step, and die if it cannot."""

    def __init__(self, policy: ServedPolicy) -> None:
        super().__init__(f"{policy.adapter_name} is not loaded any more; send the request again.")


class ServiceStopping(Unavailable):
    """The generation was aborted because the service is stopping."""

    def __init__(self) -> None:
        super().__init__("The service is stopping; send the request again.", retry_after=5)


@dataclass(frozen=True)
class AdapterShapes:
    """The adapters for which the engine reserves memory."""

    rank: int
    """The highest rank of an adapter."""
    modules: frozenset[str]
    """The modules that adapters may change."""
    adapters: int
    """How many adapters one batch may mix."""


class Engine:
    """vLLM's AsyncLLM with adapters; a new one replaces it when its process has died."""

    def __init__(self, base: BaseModel, shapes: AdapterShapes, settings: Settings) -> None:
        """`base` is the model that the adapters change: the base model, or a trunk."""
        self._base = base
        self._shapes = shapes
        self._settings = settings
        self._llm: Any = None
        self._token_bytes: TokenBytes | None = None
        self._held: set[int] = set()
        """Ids of the adapters that are loaded."""
        self._running: set[str] = set()
        """Ids of the requests that are being generated."""

    def start(self) -> None:
        """Start the engine process and load the base model (18 s on two cores); `load` adds adapters."""
        settings, shapes = self._settings, self._shapes
        prepare_environment(settings.kv_cache_gib)
        from vllm import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM

        bind_cores()
        arguments = AsyncEngineArgs(**engine_arguments(self._base, shapes, settings))
        # vLLM itself waits for ever for a core that hangs before it has answered once.
        limit = Timer(settings.engine_start_timeout, kill_cores)
        limit.daemon = True
        limit.start()
        try:
            self._llm = AsyncLLM.from_engine_args(arguments)
        finally:
            limit.cancel()
        self._token_bytes = TokenBytes(self._llm.get_tokenizer())

    def restart(self) -> None:
        """Stop what is left of the engine and start a new one, which holds no adapters."""
        self.stop()
        self.start()

    @property
    def max_rank(self) -> int:
        """The highest adapter rank that the engine accepts."""
        return self._shapes.rank

    def why_not_loadable(self, policy: ServedPolicy) -> str | None:
        """Why the running engine cannot load a policy's adapter; None if it can. Raises BrokenPolicy."""
        adapter = LoraAdapter(policy.path)
        if adapter.rank > MAX_RANK:
            return (
                f"{policy.adapter_name} has rank {adapter.rank}, and engines take ranks up to {MAX_RANK}; train it "
                "with a lower one."
            )
        if adapter.rank > self._shapes.rank:
            return (
                f"{policy.adapter_name} has rank {adapter.rank}, but the engine was started for ranks up to "
                f"{self._shapes.rank}; restart the service."
            )
        if missing := adapter.kinds - self._shapes.modules:
            changed = ", ".join(sorted(missing))
            return (
                f"{policy.adapter_name} changes the modules {changed}, for which the engine was not started; "
                "restart the service."
            )
        return None

    async def load(self, policy: ServedPolicy) -> None:
        """Make an adapter resident.

        Raises EngineGone, EngineFull, or the engine's own error for an adapter that it cannot load.
        """
        if self._llm is None:
            raise EngineGone
        if policy.adapter_id not in self._held and len(self._held) >= self._shapes.adapters:
            raise EngineFull(len(self._held))
        self._held.add(policy.adapter_id)
        try:
            await self._unless_gone(self._llm.add_lora(_lora_request(policy)))
        except BaseException:
            self._held.discard(policy.adapter_id)
            raise

    async def unload(self, policy: ServedPolicy) -> None:
        """Unload an adapter that no request uses."""
        self._held.discard(policy.adapter_id)
        if self.alive:
            with suppress(EngineGone):
                await self._unless_gone(self._llm.remove_lora(policy.adapter_id))

    async def answer(self) -> None:
        """Wait until all processes of the engine have answered, which they do between two steps. Raises EngineGone."""
        if self._llm is None:
            raise EngineGone
        await self._unless_gone(self._llm.collective_rpc("check_health"))

    async def _unless_gone(self, call: Coroutine[Any, Any, Any]) -> None:
        """Wait for a call of the engine, which vLLM never ends when the engine dies meanwhile. Raises EngineGone."""
        from vllm.v1.engine.exceptions import EngineDeadError

        llm, calling = self._llm, asyncio.ensure_future(call)
        try:
            while self._llm is llm and self.alive and not calling.done():
                await asyncio.wait((calling,), timeout=_CHECK_SECONDS)
            if not calling.done():
                raise EngineGone
            calling.result()
        except EngineDeadError:
            raise EngineGone from None
        finally:
            calling.cancel()

    async def probe(self, policy: ServedPolicy | None) -> list[float]:
        """Log-probabilities, in nats, of PROBE's tokens under a policy, or under the base for None.

        Raises EngineGone.
        """
        from vllm import SamplingParams
        from vllm.v1.engine.exceptions import EngineDeadError

        if self._llm is None:
            raise EngineGone

        outputs = self._llm.generate(
            PROBE,
            SamplingParams(max_tokens=1, prompt_logprobs=0),
            request_id=f"probe-{policy.adapter_name if policy else 'base'}",
            lora_request=_lora_request(policy),
        )
        try:
            async for output in outputs:
                tokens, entries = output.prompt_token_ids[1:], output.prompt_logprobs[1:]
        except EngineDeadError:
            raise EngineGone from None
        return [entry[token].logprob for token, entry in zip(tokens, entries, strict=True)]

    async def generate(
        self, prompt: Sequence[int], params: "SamplingParams", policy: ServedPolicy | None, request_id: str
    ) -> AsyncGenerator[Piece, None]:
        """Generate piece by piece; closing the generator aborts the request.

        Raises EngineGone, NotLoaded and ServiceStopping.
        """
        from vllm.inputs import TokensPrompt
        from vllm.v1.engine.exceptions import EngineDeadError

        if self._llm is None:
            raise EngineGone
        if policy is not None and not policy.merged and policy.adapter_id not in self._held:
            raise NotLoaded(policy)
        self._running.add(request_id)
        try:
            async for output in self._llm.generate(
                TokensPrompt(prompt_token_ids=list(prompt)),
                params,
                request_id=request_id,
                lora_request=_lora_request(policy),
            ):
                for completion in output.outputs:
                    if completion.finish_reason == "abort":
                        raise ServiceStopping
                    yield Piece(
                        completion.text,
                        len(completion.token_ids),
                        completion.finish_reason,
                        completion.index,
                        self._logprobs(completion.token_ids, completion.logprobs or (), params.logprobs),
                    )
        except EngineDeadError:
            raise EngineGone from None
        finally:
            self._running.discard(request_id)

    def _logprobs(
        self, tokens: Sequence[int], entries: Sequence[dict[int, "Logprob"]], alternatives: int | None
    ) -> tuple[TokenLogprob, ...]:
        """vLLM's entries as TokenLogprobs: an entry holds the sampled token and the likeliest ones."""
        if not entries or self._token_bytes is None:
            return ()
        bytes_of = self._token_bytes.of

        def likely(token: int, entry: "Logprob") -> LikelyToken:
            text = entry.decoded_token or ""
            return LikelyToken(text, entry.logprob, bytes_of(token, text))

        return tuple(
            TokenLogprob(
                likely(token, entry[token]),
                tuple(
                    likely(*item) for item in sorted(entry.items(), key=lambda item: item[1].rank or 0)[:alternatives]
                ),
            )
            for token, entry in zip(tokens, entries, strict=True)
        )

    async def abort_all(self) -> None:
        """Abort every generation; `generate` then raises Stopping."""
        if self.alive:
            await self._llm.abort(list(self._running))

    @property
    def alive(self) -> bool:
        """Whether the engine process works."""
        return self._llm is not None and not self._llm.errored

    def kill(self) -> None:
        """Kill the engine's processes, whatever they are doing; a second later it is not `alive` any more."""
        kill_cores()

    def stop(self) -> None:
        """Stop the engine's processes, also while they start."""
        llm, self._llm = self._llm, None
        self._held.clear()
        if llm is None:
            kill_cores()
        else:
            llm.shutdown()


def _lora_request(policy: ServedPolicy | None) -> "LoRARequest | None":
    if policy is None or policy.merged:
        return None
    from vllm.lora.request import LoRARequest

    return LoRARequest(policy.adapter_name, policy.adapter_id, str(policy.path))


def shapes_for(paths: Iterable[Path], spare: int) -> AdapterShapes:
    """Shapes for the adapters at `paths` and `spare` more like them; vLLM's ranks are 8 and higher powers of two."""
    adapters = []
    for path in paths:
        try:
            adapter = LoraAdapter(path)
        except BrokenPolicy:  # it is refused when it is loaded
            continue
        if adapter.rank <= MAX_RANK:
            adapters.append(adapter)
    rank = max((adapter.rank for adapter in adapters), default=8)
    modules: frozenset[str] = frozenset().union(*(adapter.kinds for adapter in adapters))
    return AdapterShapes(max(8, 1 << (rank - 1).bit_length()), modules or frozenset({"q_proj"}), len(adapters) + spare)


def engine_arguments(base: BaseModel, shapes: AdapterShapes, settings: Settings) -> dict[str, Any]:
    """vLLM's engine arguments for a base model and adapters of these shapes."""
    context = settings.max_prompt_tokens + settings.max_tokens
    return {
        "model": str(base.path),
        "dtype": compute_dtype_name(),
        "max_model_len": context,
        "max_num_seqs": settings.max_num_seqs,
        "enable_lora": True,
        "max_loras": shapes.adapters,
        "max_lora_rank": shapes.rank,
        "lora_target_modules": sorted(shapes.modules),
        "enable_prefix_caching": True,
        # With a seed, vLLM rewinds a chunked prompt's random generator; CPU generators cannot, and 0.32 crashes.
        "enable_chunked_prefill": False,
        "max_num_batched_tokens": max(2048, context),
        "generation_config": "vllm",
        "disable_log_stats": True,
        "enforce_eager": not settings.compile,
    }
