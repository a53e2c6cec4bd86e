"""Answering a request, whichever endpoint it came by: resolve the policy, format, wait, generate, announce."""

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import ExitStack, aclosing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Literal

from policies.names import DEFAULT_PROFILE
from policies.prompt import Prompt, PromptFormatter
from rewards.scores import ScoreRequest
from service.admission.places import Admission, Place, PlaceState, Size
from service.admission.shared_limits import SharedLimits, Taken
from service.answering.best_of import BestOfChooser
from service.answering.deadline import until
from service.answering.formatting import Formatting
from service.answering.observed import observed_generation
from service.answering.prepared import Prepared
from service.answering.sampling import SamplingLimits, sampling_params
from service.answering.structure import check_structure
from service.domain.answer import Answer, Completion, Piece, TokenLogprob
from service.domain.caller import Caller
from service.domain.finished import FinishedCompletion
from service.domain.policy import ServedPolicy
from service.domain.request import AnswerRequest, Question
from service.domain.selection import Selection
from service.edge.request_context import current
from service.engine.engine import Engine
from service.engine.remote.remote_engine import RemoteEngine
from service.errors import NotFound, RateLimited, RequestTimedOut, ServiceError, Unavailable
from service.metrics.traffic import UNKNOWN, TrafficMetrics
from service.preferences.learned import LearnedPreferences
from service.served.resolver import Resolver
from service.telemetry.span import NO_SPAN

if TYPE_CHECKING:
    from vllm import SamplingParams

logger = logging.getLogger(__name__)

OnFinished = Callable[[FinishedCompletion], None]
"""Is told of every completion that is returned; it must not wait."""


class Pipeline:
    """Answers requests with the policies of a resolver, and announces every finished completion."""

    def __init__(
        self,
        engine: Engine | RemoteEngine,
        resolver: Resolver,
        formatter: PromptFormatter,
        preferences: LearnedPreferences,
        admission: Admission,
        chooser: BestOfChooser,
        metrics: TrafficMetrics,
        limits: SamplingLimits,
        *,
        shared: SharedLimits | None = None,
        on_finished: Sequence[OnFinished] = (),
        log_prompts: bool = False,
    ) -> None:
        """`shared` are the limits over all replicas, beside the admission's own.

        `on_finished` are told of each finished completion, in their order.
        """
        self._engine = engine
        self._resolver = resolver
        self._formatting = Formatting(formatter)
        self._preferences = preferences
        self._admission = admission
        self._chooser = chooser
        self._metrics = metrics
        self.limits = limits
        self._shared = shared
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

    async def admit(self, caller: Caller) -> None:
        """Count a request that needs no place in the engine. Raises RateLimited, Overloaded and Unavailable."""
        taken = await self._take(caller, UNKNOWN, ())
        try:
            self._admission.admit(caller)
        except ServiceError:
            if self._shared is not None:
                self._shared.give_back(taken, 0, 0, refused=True)
            raise

    async def format(self, request: AnswerRequest) -> Prompt:
        """The prompt of a request, which is not answered. Raises InvalidRequest."""
        return await self._formatting.format(request)

    def token_texts(self, prompt: Prompt) -> list[str]:
        """A prompt's tokens as the vocabulary writes them."""
        return self._formatting.token_texts(prompt)

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
            selection, policy = await self._resolve(first, allow)
            requests = [replace(request, selection=selection) for request in requests]
            with self._resolver.hold(policy):
                self._admission.check(first.caller, policy.profile)
                prompts = await self._formatting.format_all(requests)
                params = [sampling_params(first.sampling, policy.decoding, self.limits) for _ in prompts]
                if first.sampling.best_of is not None:
                    weights = first.selection.weights or policy.weights
                    for request, prompt in zip(requests, prompts, strict=True):
                        self._chooser.check(weights, _question(request), prompt.passages)
                if first.sampling.structure is not None:
                    await check_structure(params[0])
                sizes = [
                    Size(len(prompt.token_ids) + own.n * (own.max_tokens or self.limits.max_tokens), own.n)
                    for prompt, own in zip(prompts, params, strict=True)
                ]
                taken = await self._take(first.caller, policy.profile, sizes)
                try:
                    places = self._admission.reserve_all(first.caller, policy.profile, sizes)
                except ServiceError:
                    if self._shared is not None:
                        self._shared.give_back(taken, *_total(sizes, self._admission.places), refused=True)
                    raise
                parts = zip(requests, prompts, params, places, strict=True)
                return [self._prepared(policy, began, taken, *part) for part in parts]
        except ServiceError as error:
            self._count(policy, error.outcome)
            raise

    async def _resolve(self, request: AnswerRequest, allow: Callable[[], None]) -> tuple[Selection, ServedPolicy]:
        """The selection that answers a request, and its policy.

        Whoever asks for a profile is answered by it where the weights learned for them cannot be served now. `allow` is
        called before a policy is made or loaded. Raises ServiceError.
        """
        asked, caller = request.selection, request.caller
        selection = await self._preferences.selection(asked, caller, self._resolver.roster)
        if selection != asked:
            try:
                policy = await self._resolver.resolve(selection, caller.id, allow)
            except (NotFound, Unavailable) as error:
                logger.warning("answering without learned preferences: %s", error)
            else:
                self._metrics.learned.labels(asked.profile or DEFAULT_PROFILE).inc()
                return selection, policy
        return asked, await self._resolver.resolve(asked, caller.id, allow)

    def _prepared(
        self, policy: ServedPolicy, began: float, taken: Taken | None, request: AnswerRequest, prompt: Prompt,
        params: "SamplingParams", place: Place,
    ) -> Prepared:  # fmt: skip
        held, answer_id = ExitStack(), f"resp_{uuid.uuid4().hex}"
        held.enter_context(self._resolver.hold(policy))
        prepared = Prepared(
            id=answer_id,
            policy=policy,
            weights=request.selection.weights or policy.weights,
            prompt=prompt,
            params=params,
            returned=request.sampling.n,
            question=_question(request),
            turns=request.turns,
            trial=self._resolver.trial(request.selection, policy),
            began=began,
            place=place,
            taken=taken,
            held=held,
            generation=observed_generation(request, policy, prompt, params, answer_id, began),
        )
        self._metrics.weights_region.labels(policy.weights.region).inc()
        if (context := current()) is not None:
            # A client may vanish before anybody iterates over the stream, whose own end would then never come.
            context.at_end.callback(partial(self._end, prepared, "cancelled"))
            if self._log_prompts:
                context.prompts.append(prompt.text)
        return prepared

    async def _take(self, caller: Caller, profile: str, sizes: Sequence[Size]) -> Taken | None:
        """Count a request against the limits over all replicas. Raises RateLimited and Unavailable."""
        if self._shared is None:
            return None
        try:
            return await self._shared.take(caller, *_total(sizes, self._admission.places))
        except RateLimited as error:
            self._metrics.refusals.labels(profile, error.reason).inc()
            raise

    async def wait_for_turn(self, prepared: Prepared) -> Literal[True]:
        """Wait until the answer can begin, where that must be known before a stream begins. Raises Overloaded."""
        span = prepared.generation.parent.child("queue") if prepared.place.state is PlaceState.WAITING else NO_SPAN
        span.set({"fgctl.profile": prepared.policy.profile, "fgctl.policy": prepared.policy.version})
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
        policy, generation = prepared.policy, prepared.generation
        outcome = "error"
        completions = [_GrowingCompletion() for _ in range(prepared.params.n)]
        tokens = cached = 0

        def end() -> None:
            self._end(prepared, outcome, tokens)

        def expire() -> None:
            nonlocal outcome
            outcome = "timeout"
            end()

        await self.wait_for_turn(prepared)
        generation.begin()
        try:
            pieces = self._engine.generate(prepared.prompt.token_ids, prepared.params, policy, prepared.id)
            async with aclosing(until(prepared.place.deadline, pieces, expire)) as timely:
                async for piece in timely:
                    if tokens == 0:
                        self._metrics.first_token_seconds.labels(policy.profile).observe(generation.first_token())
                        cached = piece.cached_tokens
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
            texts = [completion.finished(0) for completion in completions]
            generation.end(outcome, [text.text for text in texts], [text.finish_reason for text in texts], tokens)
        yield Answer(
            id=prepared.id,
            created=int(time.time()),
            policy=policy,
            weights=prepared.weights,
            completions=tuple(completion.finished(index) for index, completion in enumerate(completions)),
            prompt_tokens=len(prepared.prompt.token_ids),
            completion_tokens=tokens,
            passages_cut=prepared.prompt.passages_cut,
            cached_tokens=cached,
        )

    def _announce(self, prepared: Prepared, answer: Answer) -> None:
        policy = answer.policy
        for completion in answer.completions:
            self._metrics.finished.labels(policy.profile, policy.version_label, completion.finish_reason).inc()
            # It is scored against the passages as the policy saw them, which also bounds what scoring has to read.
            request = ScoreRequest(prepared.question, prepared.prompt.passages, completion.text)
            finished = FinishedCompletion(
                answer=answer,
                completion=completion,
                request=request,
                caller_id=prepared.place.caller_id,
                trial=prepared.trial,
                trace=prepared.generation.link,
                turns=prepared.turns,
            )
            for listener in self._on_finished:
                listener(finished)

    def _end(self, prepared: Prepared, outcome: str, tokens: int = 0) -> None:
        """Give up the place of a request and count how it ended; only the first call has an effect."""
        place, policy = prepared.place, prepared.policy
        ran, prompt_tokens = place.state is PlaceState.RUNNING, len(prepared.prompt.token_ids)
        used = prompt_tokens + tokens if ran else 0
        if not self._admission.leave(place, used, finished=outcome == "ok"):
            return
        if self._shared is not None:
            unused, refused = max(0, place.tokens - used), place.request.refused and not place.request.places
            self._shared.give_back(prepared.taken, unused, place.completions, refused=refused)
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


def _question(request: AnswerRequest) -> str:
    """The question; empty for prompts and conversations."""
    return request.content.text if isinstance(request.content, Question) else ""


def _total(sizes: Sequence[Size], places: int) -> tuple[int, int]:
    """The tokens of all prompts, and their completions as admission counts them, of which it has so many places."""
    return sum(size.tokens for size in sizes), sum(min(size.completions, places) for size in sizes)


async def _last(events: AsyncGenerator[Piece | Answer, None]) -> Answer:
    """The answer that ends a stream. Raises Unavailable where there is none."""
    last: Piece | Answer | None = None
    async for event in events:
        last = event
    if not isinstance(last, Answer):
        raise Unavailable("The engine ended without an answer; send the request again.")
    return last


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
