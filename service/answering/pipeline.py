"""Answering a request, whichever endpoint it came by: resolve the policy, format, wait, generate, announce."""

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import ExitStack, aclosing
from functools import partial
from typing import TYPE_CHECKING, Literal

from policies.prompt import Prompt, PromptFormatter
from rewards.scores import ScoreRequest
from service.admission.places import Admission, Place, PlaceState, Size
from service.answering.best_of import BestOfChooser
from service.answering.deadline import until
from service.answering.formatting import Formatting
from service.answering.prepared import Prepared
from service.answering.sampling import SamplingLimits, sampling_params
from service.domain.answer import Answer, Completion, Piece, TokenLogprob
from service.domain.caller import Caller
from service.domain.finished import FinishedCompletion
from service.domain.policy import ServedPolicy
from service.domain.request import AnswerRequest, Question
from service.edge.request_context import current
from service.edge.tracing import NO_SPAN, Span
from service.engine.engine import Engine
from service.errors import RequestTimedOut, ServiceError, Unavailable
from service.metrics.traffic import UNKNOWN, TrafficMetrics
from service.served.resolver import Resolver

if TYPE_CHECKING:
    from vllm import SamplingParams

OnFinished = Callable[[FinishedCompletion], None]
"""Is told of every completion that is returned; it must not wait."""


class Pipeline:
    """Answers requests with the policies of a resolver, and announces every finished completion."""

    def __init__(
        self,
        engine: Engine,
        resolver: Resolver,
        formatter: PromptFormatter,
        admission: Admission,
        chooser: BestOfChooser,
        metrics: TrafficMetrics,
        limits: SamplingLimits,
        *,
        on_finished: Sequence[OnFinished] = (),
        log_prompts: bool = False,
    ) -> None:
        """`on_finished` are told of each finished completion, in their order."""
        self._engine = engine
        self._resolver = resolver
        self._formatting = Formatting(formatter)
        self._admission = admission
        self._chooser = chooser
        self._metrics = metrics
        self.limits = limits
        self._on_finished = on_finished
        self._log_prompts = log_prompts

    def check_allowance(self, caller: Caller) -> None:
        """Refuse a caller whose request would be refused whatever it holds, after counting it.

        Raises RateLimited, Overloaded.
        """
        try:
            self._admission.check(caller, UNKNOWN)
        except ServiceError as error:
            self._count(None, error.outcome)
            raise

    async def prepare(self, request: AnswerRequest) -> Prepared:
        """Prepare a request with one prompt. Raises ServiceError, after counting the request."""
        return (await self.prepare_all([request]))[0]

    async def prepare_all(self, requests: Sequence[AnswerRequest]) -> list[Prepared]:
        """Check a request with several prompts, resolve its policy, format the prompts, reserve their places.

        `requests` has one for each prompt; they differ in nothing else. Raises ServiceError, after counting the
        request.
        """
        began, first = time.monotonic(), requests[0]
        policy: ServedPolicy | None = None
        # What must be loaded first costs more than an answer, so the caller's allowance is checked before that.
        allow = partial(self._admission.check, first.caller, UNKNOWN)
        try:
            policy = await self._resolver.resolve(first.selection, first.caller.id, allow)
            with self._resolver.hold(policy):
                self._admission.check(first.caller, policy.profile)
                prompts = [await self._formatting.format(request) for request in requests]
                params = [sampling_params(first.sampling, policy.decoding, prompt, self.limits) for prompt in prompts]
                sizes = [
                    Size(len(prompt.token_ids) + own.n * (own.max_tokens or self.limits.max_tokens), own.n)
                    for prompt, own in zip(prompts, params, strict=True)
                ]
                places = self._admission.reserve_all(first.caller, policy.profile, sizes)
                parts = zip(requests, prompts, params, places, strict=True)
                return [self._prepared(policy, began, *part) for part in parts]
        except ServiceError as error:
            self._count(policy, error.outcome)
            raise

    def _prepared(
        self, policy: ServedPolicy, began: float, request: AnswerRequest, prompt: Prompt, params: "SamplingParams",
        place: Place,
    ) -> Prepared:  # fmt: skip
        held = ExitStack()
        held.enter_context(self._resolver.hold(policy))
        prepared = Prepared(
            id=f"resp_{uuid.uuid4().hex}",
            policy=policy,
            weights=request.selection.weights or policy.weights,
            prompt=prompt,
            params=params,
            returned=request.sampling.n,
            question=request.content.text if isinstance(request.content, Question) else "",
            trial=self._resolver.trial(request.selection, policy),
            began=began,
            place=place,
            held=held,
        )
        self._metrics.weights_region.labels(policy.weights.region).inc()
        if (context := current()) is not None:
            # A client may vanish before anybody iterates over the stream, whose own end would then never come.
            context.at_end.callback(partial(self._end, prepared, "cancelled"))
            if self._log_prompts:
                context.prompts.append(prompt.text)
        return prepared

    async def wait_for_turn(self, prepared: Prepared) -> Literal[True]:
        """Wait until the answer can begin, where that must be known before a stream begins. Raises Overloaded."""
        span = _span(prepared, "queue") if prepared.place.state is PlaceState.WAITING else NO_SPAN
        try:
            await self._admission.wait_for_turn(prepared.place)
        except ServiceError as error:
            self._end(prepared, error.outcome)
            raise
        except asyncio.CancelledError:
            self._end(prepared, "cancelled")
            raise
        finally:
            span.end()
        return True

    async def answer(self, prepared: Prepared) -> Answer:
        """The whole answer. Cancelling aborts the generation. Raises ServiceError."""
        async with aclosing(self.stream(prepared)) as events:
            return await _last(events)

    async def stream(self, prepared: Prepared) -> AsyncGenerator[Piece | Answer, None]:
        """Pieces as they come, then the whole answer; only the answer where the best of several is to be chosen.

        Closing the generator aborts the generation. Raises ServiceError.
        """
        async with aclosing(self._generate(prepared)) as events:
            if prepared.chooses:
                answer = await self._chooser.choose(prepared, await _last(events))
                self._announce(prepared, answer)
                yield answer
                return
            async for event in events:
                if isinstance(event, Answer):
                    self._announce(prepared, event)
                yield event

    async def _generate(self, prepared: Prepared) -> AsyncGenerator[Piece | Answer, None]:
        """Pieces of everything that is sampled, then the answer that holds all samples.

        Raises Overloaded when the request waits too long for its turn, RequestTimedOut when it takes too long in all,
        and EngineGone when the engine has died.
        """
        policy = prepared.policy
        outcome = "error"
        completions = [_GrowingCompletion() for _ in range(prepared.params.n)]
        tokens = 0

        def end() -> None:
            self._end(prepared, outcome, tokens)

        def expire() -> None:
            nonlocal outcome
            outcome = "timeout"
            end()

        await self.wait_for_turn(prepared)
        span = _span(prepared, "generate")
        try:
            pieces = self._engine.generate(prepared.prompt.token_ids, prepared.params, policy, prepared.id)
            async with aclosing(until(prepared.place.deadline, pieces, expire)) as timely:
                async for piece in timely:
                    if tokens == 0:
                        seconds = time.monotonic() - prepared.began
                        self._metrics.first_token_seconds.labels(policy.profile).observe(seconds)
                    tokens += piece.tokens
                    completions[piece.index].add(piece)
                    yield piece
            outcome = "ok"
        except (asyncio.CancelledError, GeneratorExit):
            outcome = "cancelled"
            raise
        except TimeoutError:
            outcome = "timeout"
            raise RequestTimedOut("The answer takes longer than a request may; ask for fewer tokens.") from None
        finally:
            end()
            span.end(failed=outcome != "ok")
        yield Answer(
            id=prepared.id,
            created=int(time.time()),
            policy=policy,
            weights=prepared.weights,
            completions=tuple(completion.finished(index) for index, completion in enumerate(completions)),
            prompt_tokens=len(prepared.prompt.token_ids),
            completion_tokens=tokens,
            passages_cut=prepared.prompt.passages_cut,
        )

    def _announce(self, prepared: Prepared, answer: Answer) -> None:
        policy = answer.policy
        for completion in answer.completions:
            self._metrics.finished.labels(policy.profile, policy.version_label, completion.finish_reason).inc()
            # It is scored against the passages as the policy saw them, which also bounds what scoring has to read.
            request = ScoreRequest(prepared.question, prepared.prompt.passages, completion.text)
            finished = FinishedCompletion(answer, completion, request, prepared.place.caller_id, prepared.trial)
            for listener in self._on_finished:
                listener(finished)

    def _end(self, prepared: Prepared, outcome: str, tokens: int = 0) -> None:
        """Give up the place of a request and count how it ended; only the first call has an effect."""
        place, policy = prepared.place, prepared.policy
        ran, prompt_tokens = place.state is PlaceState.RUNNING, len(prepared.prompt.token_ids)
        if not self._admission.leave(place, prompt_tokens + tokens if ran else 0, finished=outcome == "ok"):
            return
        prepared.held.close()
        self._count(policy, outcome)
        if ran:
            self._metrics.queue_seconds.labels(policy.profile).observe(place.granted_at - place.reserved_at)
            self._metrics.generation_seconds.labels(policy.profile).observe(time.monotonic() - prepared.began)
            self._metrics.tokens.labels(policy.profile, "prompt").inc(prompt_tokens)
            self._metrics.tokens.labels(policy.profile, "completion").inc(tokens)
        if (context := current()) is not None:
            context.queue_seconds += place.granted_at - place.reserved_at
            context.prompt_tokens += prompt_tokens if ran else 0
            context.completion_tokens += tokens

    def _count(self, policy: ServedPolicy | None, outcome: str) -> None:
        labels = (policy.profile, policy.version_label) if policy else (UNKNOWN, UNKNOWN)
        self._metrics.requests.labels(*labels, outcome).inc()
        if (context := current()) is not None:
            context.profile, context.policy, context.outcome = *labels, outcome


async def _last(events: AsyncGenerator[Piece | Answer, None]) -> Answer:
    """The answer that ends a stream. Raises Unavailable where there is none."""
    last: Piece | Answer | None = None
    async for event in events:
        last = event
    if not isinstance(last, Answer):
        raise Unavailable("The engine ended without an answer; send the request again.")
    return last


def _span(prepared: Prepared, name: str) -> Span:
    """A part of the HTTP request's trace."""
    context = current()
    if context is None:
        return NO_SPAN
    span = context.span.child(name)
    span.set({"fgctl.profile": prepared.policy.profile, "fgctl.policy": prepared.policy.version})
    return span


class _GrowingCompletion:
    """A completion that grows piece by piece."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._logprobs: list[TokenLogprob] = []
        self._tokens = 0
        self._finish_reason: str | None = None

    def add(self, piece: Piece) -> None:
        self._texts.append(piece.text)
        self._tokens += piece.tokens
        self._logprobs.extend(piece.logprobs)
        self._finish_reason = piece.finish_reason or self._finish_reason

    def finished(self, index: int) -> Completion:
        reason = self._finish_reason or "stop"
        return Completion(index, "".join(self._texts), self._tokens, reason, tuple(self._logprobs))
