"""The engine behind a URL: one base model with adapters that its servers find by name.

No adapter is loaded or unloaded from here: a request names `profile@version`, and whichever server gets it fetches what
it does not have yet (lora_resolver.py). So nothing must be told to a server that was added or restarted.

A request is sent again only if it has reached no server: no connection was made, or the router says that it has no
server (503). What breaks later is reported, because the server may have died of this very request.
"""

import asyncio
import json
import logging
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp

from policies.adapters.lora import LoraAdapter
from policies.base import BaseModel, load_tokenizer
from policies.engine.defaults import SEQUENCES
from rewards.errors import FgctlError
from service.domain.answer import Piece
from service.domain.engine_load import EngineLoad
from service.domain.policy import ServedPolicy
from service.engine.engine import PROBE, ServiceStopping
from service.engine.plan import MAX_RANK, AdapterShapes
from service.engine.remote.completions import END, event_of, pieces_of, probe_body, probe_logprobs, sampling_body
from service.engine.token_bytes import TokenBytes
from service.errors import Unavailable
from service.settings import Settings

if TYPE_CHECKING:
    from vllm import SamplingParams

logger = logging.getLogger(__name__)

_PAUSES = (0.1, 0.25, 0.5, 1.0, 2.0)
"""Seconds before each further attempt to reach a server."""
_CONNECT_SECONDS = 5.0
_IDLE_SECONDS = 4.0
"""Seconds for which an unused connection is kept: less than servers and routers keep theirs."""
_LONGEST_LINE = 1 << 24
"""Bytes of an event: a token's log-probabilities may be many."""


class EngineAway(Unavailable):
    """No server could be reached, so nothing was sent."""

    def __init__(self) -> None:
        super().__init__("The engine cannot be reached now; try again in a few seconds.", retry_after=5)


class EngineBroke(Unavailable):
    """The connection to a server has ended before its answer has."""

    def __init__(self) -> None:
        super().__init__("The engine broke off while it answered; send the request again.", retry_after=1)


class EngineRefuses(Unavailable):
    """A server's refusal."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"The engine refuses the request (status {status}: {reason}); its log may say more.")
        self.status_of_engine = status


class RemoteEngine:
    """What the service asks of an engine, asked over HTTP."""

    def __init__(self, base: BaseModel, shapes: AdapterShapes, settings: Settings) -> None:
        """`base` is the model that the servers run; `settings.engine_url` says where."""
        self._url = (settings.engine_url or "").rstrip("/").removesuffix("/v1")
        self._base = base
        self._shapes = shapes
        self._settings = settings
        key = settings.engine_key and settings.engine_key.get_secret_value()
        self._headers = {"authorization": f"Bearer {key}"} if key else {}
        self._model = base.name
        """The servers' name of the base."""
        self._tokenizer: Any = None
        self._token_bytes: TokenBytes | None = None
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._replies: set[aiohttp.ClientResponse] = set()
        """Those that are being read."""
        self._aborting = False
        self._stopped = threading.Event()
        self.ranks = 1
        """Which server gets a request is the router's business."""
        self.sequences = settings.max_num_seqs or SEQUENCES["gpu"]
        """Sequences that all servers together decode at once."""
        self.on_load: Callable[[EngineLoad], None] | None = None
        """Never called: the servers and routers export their own load."""
        self.alive = True
        """Whether it answered when it was last asked."""

    def start(self) -> None:
        """Wait until a server answers, or `stop` is called.

        Raises FgctlError if none does, if it is none of vLLM's, or if its context is too short.
        """
        import httpx

        self._tokenizer = load_tokenizer(self._base)
        self._token_bytes = TokenBytes(self._tokenizer)
        deadline = time.monotonic() + self._settings.engine_start_timeout
        while True:
            try:
                reply = httpx.get(
                    f"{self._url}/v1/models", headers=self._headers, timeout=_CONNECT_SECONDS, trust_env=False
                )
                problem = f"it answers with status {reply.status_code}"
                if reply.status_code == 200:
                    return self._recognise(reply.json())
                if reply.status_code in (401, 403, 404):
                    break
            except (httpx.TransportError, httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
                problem = str(error) or type(error).__name__
            except ValueError:
                problem = "its list of models is not JSON"
                break
            if time.monotonic() > deadline or self._stopped.wait(0.5):
                break
        raise FgctlError(f"No engine answers at {self._url} ({problem}); start one, or correct FGCTL_ENGINE_URL.")

    def _recognise(self, models: Any) -> None:
        """Learn what the servers call the base. Raises FgctlError where their context is too short, or not told."""
        try:
            model = next(model for model in models["data"] if not model.get("parent"))
            self._model, context = model["id"], model.get("max_model_len")
        except (KeyError, TypeError, StopIteration, AttributeError):
            raise FgctlError(f"{self._url}/v1/models lists no model; FGCTL_ENGINE_URL needs a vLLM server.") from None
        needed = self._settings.max_prompt_tokens + self._settings.max_tokens
        if context is not None and context < needed:
            raise FgctlError(
                f"The engine at {self._url} has a context of {context} tokens, and FGCTL_MAX_PROMPT_TOKENS and "
                f"FGCTL_MAX_TOKENS need {needed}; lower them, or start it with --max-model-len {needed}."
            )

    @property
    def max_rank(self) -> int:
        """The rank of mixtures: the highest of the policies that were there at the start."""
        return self._shapes.rank

    def why_not_loadable(self, policy: ServedPolicy) -> str | None:
        """Why no engine can load a policy's adapter; None if one may. Raises BrokenPolicy."""
        rank = LoraAdapter(policy.path).rank
        if rank <= MAX_RANK:
            return None
        return f"{policy.adapter_name} has rank {rank}, but engines take at most {MAX_RANK}; train it with a lower one."

    async def load(self, policy: ServedPolicy) -> None:
        """Nothing: the servers find adapters by name, as `probe` shows."""

    async def unload(self, policy: ServedPolicy) -> None:
        """Nothing: a server drops the adapters that were used least recently."""

    async def answers(self) -> bool:
        """Whether a server answers now."""
        try:
            async with self._http().get(f"{self._url}/v1/models", timeout=_limit(_CONNECT_SECONDS)) as reply:
                return reply.status == 200
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    async def probe(self, policy: ServedPolicy | None, rank: int = 0) -> list[float]:
        """Log-probabilities, in nats, of PROBE's tokens under a policy, or under the base for None, on some server.

        Raises ServiceError, and FgctlError for a policy that the servers cannot load.
        """
        prompt = self._tokenizer.encode(PROBE)
        try:
            async with self._posted(probe_body(self._named(policy), prompt)) as reply:
                return probe_logprobs(await reply.json(), prompt)
        except EngineRefuses as error:
            if policy is not None and error.status_of_engine in (400, 404):
                raise FgctlError(f"{error} Do its servers have fgctl's resolver, and reach the store?") from None
            raise
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise FgctlError(f"The engine at {self._url} returns no prompt_logprobs ({error}); use vLLM.") from None
        except (aiohttp.ClientError, TimeoutError, OSError):
            raise EngineBroke from None

    async def generate(
        self, prompt: Sequence[int], params: "SamplingParams", policy: ServedPolicy | None, request_id: str
    ) -> AsyncGenerator[Piece, None]:
        """Generate piece by piece; closing the generator closes the connection, which aborts the request.

        Raises EngineAway, EngineBroke, EngineRefuses and ServiceStopping.
        """
        unfinished = set(range(params.n))
        assert self._token_bytes is not None  # noqa: S101  # since the start
        try:
            async with self._posted(sampling_body(self._named(policy), prompt, params), request_id) as reply:
                async for line in reply.content:
                    event = event_of(line)
                    if event is None:
                        continue
                    if event == END:
                        break
                    for piece in pieces_of(event, params.logprobs, self._token_bytes):
                        if piece.finish_reason in ("abort", "error"):
                            raise EngineBroke
                        if piece.finish_reason is not None:
                            unfinished.discard(piece.index)
                        yield piece
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            if self._aborting:
                raise ServiceStopping from None
            logger.error("the engine broke off in the middle of %s: %s", request_id, error or type(error).__name__)
            raise EngineBroke from None
        if unfinished:
            raise ServiceStopping if self._aborting else EngineBroke

    async def abort_all(self) -> None:
        """Abort every generation; `generate` then raises ServiceStopping."""
        self._aborting = True
        for reply in tuple(self._replies):
            reply.close()

    def stop(self) -> None:
        """Close the connections, and wait for no server any more. The servers go on."""
        self._stopped.set()
        session, loop = self._session, self._loop
        self._session = None
        if session is not None and loop is not None and loop.is_running():
            asyncio.run_coroutine_threadsafe(session.close(), loop)

    def _named(self, policy: ServedPolicy | None) -> str:
        return self._model if policy is None or policy.merged else policy.adapter_name

    def _http(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._loop = asyncio.get_running_loop()
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_SECONDS),
                headers=self._headers,
                timeout=aiohttp.ClientTimeout(total=None, connect=_CONNECT_SECONDS),
                read_bufsize=_LONGEST_LINE,
            )
        return self._session

    @asynccontextmanager
    async def _posted(self, body: dict[str, Any], request_id: str = "probe") -> AsyncIterator[aiohttp.ClientResponse]:
        """A server's reply to a completion. Raises EngineAway, EngineRefuses and what aiohttp raises."""
        reply = await self._reached(body, request_id)
        self._replies.add(reply)
        try:
            if reply.status in (502, 504):  # a router whose server broke off
                raise EngineBroke
            if reply.status != 200:
                raise EngineRefuses(reply.status, _reason(await reply.text()))
            yield reply
        finally:
            self._replies.discard(reply)
            if reply.content.at_eof():
                reply.release()
            else:
                reply.close()

    async def _reached(self, body: dict[str, Any], request_id: str) -> aiohttp.ClientResponse:
        """The reply of a server that was reached. Raises EngineAway, and what aiohttp raises."""
        url, headers = f"{self._url}/v1/completions", {"x-request-id": request_id}
        for pause in (*_PAUSES, None):
            try:
                reply = await self._http().post(url, json=body, headers=headers)
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
                pass
            else:
                if reply.status != 503:
                    return reply
                reply.close()
            if self._aborting:
                raise ServiceStopping
            if pause is not None:
                await asyncio.sleep(pause)
        raise EngineAway


def _limit(seconds: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=seconds)


def _reason(text: str) -> str:
    """The error in a server's reply: vLLM's message, if there is one."""
    try:
        return str(json.loads(text)["error"]["message"])[:300]
    except (ValueError, KeyError, TypeError):
        return text.strip()[:200] or "no reason given"
