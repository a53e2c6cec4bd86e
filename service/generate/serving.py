"""Answering a request: choose the policy, format the prompt, generate, count, and hand the answer to scoring."""

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from policies.prompt import Prompt, PromptFormatter
from policies.store import Decoding
from rewards.dataset import Passage
from rewards.errors import FgctlError
from rewards.scores import ScoreRequest
from service.engine import Engine, EngineGone
from service.errors import Invalid, ServiceError, Unavailable
from service.generate.protocol import GenerateRequest, GenerateResponse, PolicyName, Usage
from service.metrics import UNKNOWN, Metrics
from service.roster import Roster, ServedPolicy, rounded
from service.scoring.queue import Finished, ScoringQueue
from service.scoring.recent import RecentResponses

if TYPE_CHECKING:
    from vllm import SamplingParams


@dataclass(frozen=True)
class Prepared:
    """A request that is known to be answerable."""

    id: str
    policy: ServedPolicy
    prompt: Prompt
    params: "SamplingParams"
    question: str
    """Empty for prompts and messages."""
    began: float


class Generation:
    """Answers requests with the policies of a roster."""

    def __init__(
        self,
        engine: Engine,
        roster: Roster,
        formatter: PromptFormatter,
        scoring: ScoringQueue,
        recent: RecentResponses,
        metrics: Metrics,
        max_tokens: int,
    ) -> None:
        self._engine = engine
        self._roster = roster
        self._formatter = formatter
        self._scoring = scoring
        self._recent = recent
        self._metrics = metrics
        self._max_tokens = max_tokens

    def prepare(self, request: GenerateRequest, profile: str | None, weights: str | None) -> Prepared:
        """Check a request and format its prompt. Raises ServiceError, counting the request as rejected."""
        began = time.monotonic()
        policy: ServedPolicy | None = None
        try:
            policy = self._roster.choose(profile, weights)
            prompt = self._format(request)
            params = self._sampling(request, policy.decoding)
        except ServiceError:
            self._count(policy, "rejected")
            raise
        return Prepared(f"resp_{uuid.uuid4().hex}", policy, prompt, params, request.question or "", began)

    async def answer(self, prepared: Prepared) -> GenerateResponse:
        """The whole answer. Cancelling aborts the generation."""
        async with aclosing(self.stream(prepared)) as events:
            async for event in events:
                last = event
        if not isinstance(last, GenerateResponse):
            raise Unavailable("The engine ended without an answer; send the request again.")
        return last

    async def stream(self, prepared: Prepared) -> AsyncGenerator[str | GenerateResponse, None]:
        """Pieces of text as they come, then the whole answer. Closing the generator aborts the generation.

        Raises Unavailable when the engine has died.
        """
        policy, metrics = prepared.policy, self._metrics
        outcome = "error"
        text, tokens, finish = "", 0, None
        try:
            pieces = self._engine.generate(prepared.prompt.token_ids, prepared.params, policy, prepared.id)
            async with aclosing(pieces):
                async for piece in pieces:
                    if tokens == 0:
                        metrics.first_token_seconds.labels(policy.profile).observe(time.monotonic() - prepared.began)
                    text, tokens, finish = text + piece.text, tokens + piece.tokens, piece.finish_reason
                    if piece.text:
                        yield piece.text
            outcome = "ok"
        except (asyncio.CancelledError, GeneratorExit):
            outcome = "cancelled"
            raise
        except EngineGone:
            raise Unavailable("The engine has stopped; the service needs a restart.") from None
        finally:
            self._count(policy, outcome)
            metrics.generation_seconds.labels(policy.profile).observe(time.monotonic() - prepared.began)
            metrics.tokens.labels(policy.profile, "prompt").inc(len(prepared.prompt.token_ids))
            metrics.tokens.labels(policy.profile, "completion").inc(tokens)
        yield self._finish(prepared, text, tokens, finish or "stop")

    def _finish(self, prepared: Prepared, text: str, tokens: int, finish: str) -> GenerateResponse:
        policy = prepared.policy
        response = GenerateResponse(
            id=prepared.id,
            profile=policy.profile,
            policy=PolicyName(name=policy.profile, version=policy.version),
            weights=rounded(policy.weights),
            text=text,
            finish_reason=finish,
            usage=Usage(prompt_tokens=len(prepared.prompt.token_ids), completion_tokens=tokens),
            passages_cut=prepared.prompt.passages_cut,
        )
        self._recent.add(response.model_dump())
        # Judged against what the policy was shown, which also bounds what scoring has to read.
        request = ScoreRequest(prepared.question, prepared.prompt.passages, text)
        self._scoring.submit(Finished(prepared.id, policy.profile, policy.version, request))
        return response

    def _format(self, request: GenerateRequest) -> Prompt:
        try:
            if request.question is not None:
                passages = [Passage(title=p.title, text=p.text) for p in request.passages]
                return self._formatter.format(request.question, passages)
            if request.prompt is not None:
                return self._formatter.raw(request.prompt)
            return self._formatter.chat([message.model_dump() for message in request.messages or []])
        except FgctlError as error:
            given = (
                "question" if request.question is not None else "prompt" if request.prompt is not None else "messages"
            )
            raise Invalid(str(error), given) from None

    def _sampling(self, request: GenerateRequest, defaults: Decoding) -> "SamplingParams":
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        if request.max_tokens is not None and request.max_tokens > self._max_tokens:
            raise Invalid(f"max_tokens is {request.max_tokens}; ask for at most {self._max_tokens}.", "max_tokens")
        chosen = {name: getattr(request, name) for name in ("temperature", "top_p", "max_tokens")}
        values = defaults.model_dump() | {name: value for name, value in chosen.items() if value is not None}
        return SamplingParams(**values, seed=request.seed, stop=request.stops, output_kind=RequestOutputKind.DELTA)

    def _count(self, policy: ServedPolicy | None, outcome: str) -> None:
        labels = (policy.profile, policy.version) if policy else (UNKNOWN, UNKNOWN)
        self._metrics.requests.labels(*labels, outcome).inc()
