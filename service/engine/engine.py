"""The vLLM engine: one base model, several resident adapters, one adapter for each request."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import suppress
from multiprocessing.process import BaseProcess
from threading import Timer
from typing import TYPE_CHECKING, Any

from policies.adapters.lora import LoraAdapter
from policies.base import BaseModel
from policies.engine.defaults import SEQUENCES
from service.domain.answer import LikelyToken, Piece, TokenLogprob
from service.domain.engine_load import EngineLoad, RankLoad
from service.domain.policy import ServedPolicy
from service.engine.cpu_environment import prepare_environment
from service.engine.plan import MAX_RANK, AdapterShapes, EnginePlan, local_workers
from service.engine.processes import bind_cores, coordinators, kill_cores
from service.engine.token_bytes import TokenBytes
from service.errors import EngineFull, InvalidRequest, Unavailable
from service.settings import Settings

if TYPE_CHECKING:
    from vllm import SamplingParams
    from vllm.logprobs import Logprob
    from vllm.lora.request import LoRARequest

PROBE = "Question: Where does the story take place?\nAnswer: It takes place in a small town by the sea, in 1952."
"""Text whose log-probabilities distinguish adapters from the base and from each other."""
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


class RequestFailed(Unavailable):
    """The engine goes on, but not with this request."""

    def __init__(self) -> None:
        super().__init__("The engine failed on this request; send it again.", retry_after=1)


class FormRefused(InvalidRequest):
    """A form of an answer that could be read, but that the engine cannot enforce."""

    def __init__(self) -> None:
        super().__init__("The engine cannot hold an answer to this form; describe it otherwise.", "structured_outputs")


class Engine:
    """vLLM's AsyncLLM with adapters; a new one replaces it when one of its processes has died.

    With data parallelism it has several ranks, which hold the same adapters and are one engine to everybody else.
    """

    def __init__(self, base: BaseModel, shapes: AdapterShapes, settings: Settings) -> None:
        """`base` is the model that the adapters change: the base model, or a trunk."""
        self._base = base
        self._shapes = shapes
        self._settings = settings
        self._llm: Any = None
        self._coordinators: list[BaseProcess] = []
        """Processes that keep several ranks in step; vLLM does not notice when they die."""
        self._token_bytes: TokenBytes | None = None
        self._held: dict[int, ServedPolicy] = {}
        """The adapters that are loaded, by their ids."""
        self._running: set[str] = set()
        """Ids of the requests that are being generated."""
        self.ranks = 1
        """Data-parallel ranks; known once the engine has started, like `sequences`."""
        self.sequences = settings.max_num_seqs or SEQUENCES["cpu"]
        """Sequences that all ranks together decode at once."""
        self.on_load: Callable[[EngineLoad], None] | None = None
        """Is told of the engine's load after each step, and of the adapters that it holds; set it before the start."""
        self._loads: dict[int, RankLoad] = {}

    def start(self) -> None:
        """Start the engine process and load the base model (18 s on two cores); `load` adds adapters."""
        prepare_environment()
        plan = EnginePlan.of(self._base, self._shapes, self._settings)
        prepare_environment(local_workers(plan.named))
        from vllm import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM

        from service.engine.stats import stat_loggers

        bind_cores()
        # vLLM itself waits for ever for a core that hangs before it has answered once.
        limit = Timer(self._settings.engine_start_timeout, kill_cores)
        limit.daemon = True
        limit.start()
        try:
            self._llm = AsyncLLM.from_engine_args(
                AsyncEngineArgs(**plan.arguments), stat_loggers=stat_loggers(self._count) if self.on_load else None
            )
        finally:
            limit.cancel()
        self._coordinators = coordinators()
        self._shapes, self.ranks, self.sequences = plan.shapes, plan.layout.data, plan.sequences
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
        self._held[policy.adapter_id] = policy
        try:
            await self._unless_gone(self._llm.add_lora(_lora_request(policy)))
        except BaseException:
            self._held.pop(policy.adapter_id, None)
            raise
        self._tell_load()

    async def unload(self, policy: ServedPolicy) -> None:
        """Unload an adapter that no request uses."""
        self._held.pop(policy.adapter_id, None)
        self._tell_load()
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

    async def probe(self, policy: ServedPolicy | None, rank: int = 0) -> list[float]:
        """Log-probabilities, in nats, of PROBE's tokens under a policy, or under the base for None, on one rank.

        Raises EngineGone.
        """
        from vllm import SamplingParams
        from vllm.v1.engine.exceptions import EngineDeadError

        if self._llm is None:
            raise EngineGone

        outputs = self._llm.generate(
            PROBE,
            SamplingParams(max_tokens=1, prompt_logprobs=0),
            request_id=f"probe-{policy.adapter_name if policy else 'base'}-{rank}",
            lora_request=_lora_request(policy),
            data_parallel_rank=rank if self.ranks > 1 else None,
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

        Raises EngineGone, NotLoaded, RequestFailed, ServiceStopping and InvalidRequest.
        """
        from vllm.exceptions import VLLMClientError
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
                    if completion.finish_reason == "error":
                        raise RequestFailed if params.structured_outputs is None else FormRefused
                    yield Piece(
                        completion.text,
                        len(completion.token_ids),
                        completion.finish_reason,
                        completion.index,
                        self._logprobs(completion.token_ids, completion.logprobs or (), params.logprobs),
                        output.num_cached_tokens or 0,
                    )
        except EngineDeadError:
            raise EngineGone from None
        except VLLMClientError as error:  # what only the engine itself can know, such as a form that it cannot enforce
            raise InvalidRequest(f"The engine refuses the request ({error}); change its parameters.") from None
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

    def _count(self, rank: int, load: RankLoad) -> None:
        """Note the load of a rank after a step."""
        self._loads[rank] = load
        self._tell_load()

    def _tell_load(self) -> None:
        if self.on_load is not None:
            self.on_load(EngineLoad(self._base.name, self._loads, tuple(self._held.values()), self._shapes.adapters))

    @property
    def alive(self) -> bool:
        """Whether all processes of the engine work. vLLM ends all ranks when one has died."""
        return (
            self._llm is not None
            and not self._llm.errored
            and all(process.is_alive() for process in self._coordinators)
        )

    def kill(self) -> None:
        """Kill the engine's processes, whatever they are doing; a second later it is not `alive` any more.

        Those of ranks that Ray runs, here or on other machines, are Ray's to kill, as vLLM's shutdown asks it to.
        """
        kill_cores()
        if self._llm is not None and self._llm.vllm_config.parallel_config.data_parallel_backend == "ray":
            self._llm.shutdown()

    def stop(self) -> None:
        """Stop the engine's processes, also while they start."""
        llm, self._llm = self._llm, None
        self._coordinators = []
        self._held.clear()
        self._loads.clear()
        self._tell_load()
        if llm is None:
            kill_cores()
        else:
            llm.shutdown()


def _lora_request(policy: ServedPolicy | None) -> "LoRARequest | None":
    if policy is None or policy.merged:
        return None
    from vllm.lora.request import LoRARequest

    return LoRARequest(policy.adapter_name, policy.adapter_id, str(policy.path))
