"""Answering a request, whichever endpoint it came by: choose the policy, format the prompt, generate, count, score."""

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import ExitStack, aclosing
from functools import partial
from typing import TYPE_CHECKING, Literal

from policies.prompt import Prompt, PromptFormatter
from policies.store import Decoding
from rewards.errors import FgctlError
from rewards.scores import ScoreRequest
from service.admission.places import Admission, State
from service.answering.deadline import until
from service.domain.request import Answer, Choice, Conversation, Prepared, Question, Sampling, Task, choice_id
from service.domain.scored import Finished
from service.edge.request_context import current
from service.edge.tracing import NO_SPAN, Span
from service.engine.engine import Engine, Piece, TokenLogprob
from service.errors import Invalid, ServiceError, TimedOut, Unavailable
from service.metrics.metrics import Metrics
from service.metrics.traffic import UNKNOWN
from service.scoring.queue import ScoringQueue
from service.served.resolver import Catalogue
from service.served.roster import ServedPolicy

if TYPE_CHECKING:
    from vllm import SamplingParams


class Generation:
    """Answers requests with the policies of a catalogue."""

    def __init__(
        self,
        engine: Engine,
        catalogue: Catalogue,
        formatter: PromptFormatter,
        scoring: ScoringQueue,
        metrics: Metrics,
        max_tokens: int,
        admission: Admission,
        *,
        max_samples: int,
        log_prompts: bool,
    ) -> None:
        self._engine = engine
        self._catalogue = catalogue
        self._formatter = formatter
        self._scoring = scoring
        self._metrics = metrics
        self._max_tokens = max_tokens
        self._admission = admission
        self._max_samples = max_samples
        self._log_prompts = log_prompts

    async def prepare(self, task: Task) -> Prepared:
        """Check a request, find its policy, format its prompt, reserve its place. Raises ServiceError, counting it."""
        began = time.monotonic()
        policy: ServedPolicy | None = None
        try:
            policy = await self._catalogue.choose(task.selection, task.caller.id)
            self._admission.check(task.caller, policy.profile)
            prompt = self._format(task)
            self._check_samples(task.sampling, prompt, policy.decoding)
            params = self._params(task.sampling, policy.decoding)
            tokens = len(prompt.token_ids) + params.n * (params.max_tokens or self._max_tokens)
            place = self._admission.reserve(task.caller, policy.profile, tokens, params.n)
        except ServiceError as error:
            self._count(policy, error.outcome)
            raise
        wanted = task.selection.weights or policy.weights
        question = task.content.text if isinstance(task.content, Question) else ""
        held = ExitStack()
        held.enter_context(self._catalogue.using(policy))
        prepared = Prepared(
            f"resp_{uuid.uuid4().hex}",
            policy,
            wanted,
            prompt,
            params,
            task.sampling.n,
            question,
            self._catalogue.trial(task.selection, policy),
            began,
            place,
            held,
        )
        self._metrics.traffic.weights_region.labels(policy.weights.region).inc()
        if (context := current()) is not None:
            # A client may vanish before anybody iterates over the stream, whose own end would then never come.
            context.at_end.callback(partial(self._end, prepared, "cancelled"))
            if self._log_prompts:
                context.prompts.append(prompt.text)
        return prepared

    async def turn(self, prepared: Prepared) -> Literal[True]:
        """Wait for the request's turn, where it must be known before the answer begins. Raises Overloaded."""
        span = _span(prepared, "queue") if prepared.place.state is State.WAITING else NO_SPAN
        try:
            await self._admission.turn(prepared.place)
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
        """The whole answer. Cancelling aborts the generation."""
        async with aclosing(self.stream(prepared)) as events:
            async for event in events:
                last = event
        if not isinstance(last, Answer):
            raise Unavailable("The engine ended without an answer; send the request again.")
        return last

    async def stream(self, prepared: Prepared) -> AsyncGenerator[Piece | Answer, None]:
        """Pieces as they come, then the whole answer. Closing the generator aborts the generation.

        Raises Overloaded when the request waits too long for its turn, TimedOut when it takes too long in all, and
        EngineGone when the engine has died.
        """
        policy = prepared.policy
        outcome = "error"
        completions = [_Completion() for _ in range(prepared.params.n)]
        tokens = 0

        def end() -> None:
            self._end(prepared, outcome, tokens)

        def expire() -> None:
            nonlocal outcome
            outcome = "timeout"
            end()

        await self.turn(prepared)
        span = _span(prepared, "generate")
        try:
            pieces = self._engine.generate(prepared.prompt.token_ids, prepared.params, policy, prepared.id)
            async with aclosing(until(prepared.place.deadline, pieces, expire)) as timely:
                async for piece in timely:
                    if tokens == 0:
                        seconds = time.monotonic() - prepared.began
                        self._metrics.traffic.first_token_seconds.labels(policy.profile).observe(seconds)
                    tokens += piece.tokens
                    completions[piece.index].add(piece)
                    yield piece
            outcome = "ok"
        except (asyncio.CancelledError, GeneratorExit):
            outcome = "cancelled"
            raise
        except TimeoutError:
            outcome = "timeout"
            raise TimedOut("The answer takes longer than a request may; ask for fewer tokens.") from None
        finally:
            end()
            span.end(failed=outcome != "ok")
        yield Answer(
            id=prepared.id,
            created=int(time.time()),
            policy=policy,
            wanted=prepared.wanted,
            choices=tuple(completion.choice(index) for index, completion in enumerate(completions)),
            prompt_tokens=len(prepared.prompt.token_ids),
            completion_tokens=tokens,
            passages_cut=prepared.prompt.passages_cut,
        )

    def monitor(self, prepared: Prepared, choice: Choice) -> None:
        """Count a finished completion, and have it scored unless it was scored to be chosen."""
        # Judged against what the policy was shown, which also bounds what scoring has to read.
        request = ScoreRequest(prepared.question, prepared.prompt.passages, choice.text)
        policy = prepared.policy
        self._metrics.traffic.finished.labels(policy.profile, policy.label, choice.finish_reason).inc()
        if choice.judged is not None:
            return  # chosen by its scores, it says as much of the choosing as of the policy
        self._scoring.submit(
            Finished(choice_id(prepared.id, choice.index), policy.profile, policy.label, request, prepared.trial)
        )

    def _format(self, task: Task) -> Prompt:
        content = task.content
        try:
            if isinstance(content, Question):
                return self._formatter.format(content.text, content.passages)
            if isinstance(content, Conversation):
                return self._formatter.chat(content.messages)
            if isinstance(content, tuple):
                return self._formatter.tokens(content)
            return self._formatter.raw(content)
        except FgctlError as error:
            raise Invalid(str(error), task.param) from None

    def _params(self, sampling: Sampling, defaults: Decoding) -> "SamplingParams":
        from vllm import SamplingParams
        from vllm.exceptions import VLLMClientError
        from vllm.sampling_params import RequestOutputKind

        if sampling.max_tokens is not None and sampling.max_tokens > self._max_tokens:
            raise Invalid(f"max_tokens is {sampling.max_tokens}; ask for at most {self._max_tokens}.", "max_tokens")
        chosen = {name: getattr(sampling, name) for name in ("temperature", "top_p", "max_tokens")}
        values = defaults.model_dump() | {name: value for name, value in chosen.items() if value is not None}
        try:
            return SamplingParams(
                **(values | dict(sampling.extra)),
                seed=sampling.seed,
                stop=list(sampling.stop),
                n=sampling.best_of or sampling.n,
                logprobs=sampling.logprobs,
                output_kind=RequestOutputKind.DELTA,
            )
        except VLLMClientError as error:  # the bounds of the wire types leave what concerns two parameters at once
            raise Invalid(f"The sampling parameters do not fit together: {error}", "max_tokens") from None

    def _check_samples(self, sampling: Sampling, prompt: Prompt, defaults: Decoding) -> None:
        """Raises Invalid for more samples than are allowed, and for a choice among them that cannot be made."""
        param, samples = ("n", sampling.n) if sampling.best_of is None else ("best_of", sampling.best_of)
        if samples > self._max_samples:
            raise Invalid(f"{param} is {samples}; ask for at most {self._max_samples}.", param)
        temperature = defaults.temperature if sampling.temperature is None else sampling.temperature
        if samples > 1 and temperature == 0:
            raise Invalid(f"At temperature 0 all answers are alike; set a temperature, or leave out {param}.", param)
        if sampling.best_of is not None and not prompt.passages:
            raise Invalid(
                "The best of several answers is known only for a question with passages; send both, or leave out "
                "best_of.",
                param,
            )

    def _end(self, prepared: Prepared, outcome: str, tokens: int = 0) -> None:
        """Give up the place of a request and count how it ended; only the first time does anything."""
        place, policy, metrics = prepared.place, prepared.policy, self._metrics.traffic
        ran, prompt_tokens = place.state is State.RUNNING, len(prepared.prompt.token_ids)
        if not self._admission.leave(place, prompt_tokens + tokens if ran else 0, finished=outcome == "ok"):
            return
        prepared.held.close()
        self._count(policy, outcome)
        if ran:
            metrics.queue_seconds.labels(policy.profile).observe(place.granted_at - place.reserved_at)
            metrics.generation_seconds.labels(policy.profile).observe(time.monotonic() - prepared.began)
            metrics.tokens.labels(policy.profile, "prompt").inc(prompt_tokens)
            metrics.tokens.labels(policy.profile, "completion").inc(tokens)
        if (context := current()) is not None:
            context.queue_seconds += place.granted_at - place.reserved_at
            context.prompt_tokens += prompt_tokens if ran else 0
            context.completion_tokens += tokens

    def _count(self, policy: ServedPolicy | None, outcome: str) -> None:
        labels = (policy.profile, policy.label) if policy else (UNKNOWN, UNKNOWN)
        self._metrics.traffic.requests.labels(*labels, outcome).inc()
        if (context := current()) is not None:
            context.profile, context.policy, context.outcome = *labels, outcome


def _span(prepared: Prepared, name: str) -> Span:
    """A part of the HTTP request's trace."""
    context = current()
    if context is None:
        return NO_SPAN
    span = context.span.child(name)
    span.set({"fgctl.profile": prepared.policy.profile, "fgctl.policy": prepared.policy.version})
    return span


class _Completion:
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

    def choice(self, index: int) -> Choice:
        reason = self._finish_reason or "stop"
        return Choice(index, "".join(self._texts), self._tokens, reason, tuple(self._logprobs))
