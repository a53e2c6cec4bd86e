"""Answering a request, whichever endpoint it came by: choose the policy, format the prompt, generate, count, score."""

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from policies.prompt import Prompt, PromptFormatter
from policies.store import Decoding
from policies.weights import Weights
from rewards.dataset import Passage
from rewards.errors import FgctlError
from rewards.scores import ScoreRequest
from service.catalogue import Catalogue
from service.engine import Engine, Piece
from service.errors import Invalid, ServiceError, Unavailable
from service.metrics import UNKNOWN, Metrics
from service.roster import ServedPolicy
from service.scoring.queue import Finished, ScoringQueue
from service.selection import Selection

if TYPE_CHECKING:
    from vllm import SamplingParams


@dataclass(frozen=True)
class Question:
    """A question and the passages to answer it from: what policies are trained on, and what is scored."""

    text: str
    passages: tuple[Passage, ...] = ()


@dataclass(frozen=True)
class Conversation:
    """Messages of `role` and `content`, formatted by the base model's chat template."""

    messages: tuple[Mapping[str, str], ...]


Content = Question | Conversation | str
"""What is to be answered; text is the whole prompt, used as it is."""


@dataclass(frozen=True)
class Sampling:
    """What a request says of sampling; the profile's defaults fill in what it does not say."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    n: int = 1
    """Completions of the prompt."""
    logprobs: int | None = None
    """Alternatives to each token whose log-probabilities are returned; 0 is the token's own alone."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of vLLM's SamplingParams."""


@dataclass(frozen=True)
class Task:
    """A request in the service's own terms."""

    selection: Selection
    content: Content
    sampling: Sampling = Sampling()
    param: str = "question"
    """The request's parameter that holds the content."""


@dataclass(frozen=True)
class Prepared:
    """A request that is known to be answerable."""

    id: str
    policy: ServedPolicy
    wanted: Weights
    """The weights asked for; those of the policy unless a mixture cannot reach them."""
    prompt: Prompt
    params: "SamplingParams"
    question: str
    """Empty for prompts and conversations."""
    began: float


@dataclass(frozen=True)
class Choice:
    """One finished completion."""

    index: int
    text: str
    tokens: int
    finish_reason: str


@dataclass(frozen=True)
class Answer:
    """A finished request."""

    id: str
    created: int
    """Unix time."""
    policy: ServedPolicy
    wanted: Weights
    choices: tuple[Choice, ...]
    prompt_tokens: int
    passages_cut: bool
    """Whether passages were cut to the prompt budget."""

    @property
    def completion_tokens(self) -> int:
        """Tokens written, in all completions."""
        return sum(choice.tokens for choice in self.choices)


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
    ) -> None:
        self._engine = engine
        self._catalogue = catalogue
        self._formatter = formatter
        self._scoring = scoring
        self._metrics = metrics
        self._max_tokens = max_tokens

    async def prepare(self, task: Task) -> Prepared:
        """Check a request, format its prompt and find its policy. Raises ServiceError, counting it as rejected."""
        began, request_id = time.monotonic(), f"resp_{uuid.uuid4().hex}"
        policy: ServedPolicy | None = None
        try:
            prompt = self._format(task)
            policy = await self._catalogue.choose(task.selection, request_id)
            params = self._params(task.sampling, policy.decoding)
        except ServiceError:
            self._count(policy, "rejected")
            raise
        wanted = task.selection.weights or policy.weights
        question = task.content.text if isinstance(task.content, Question) else ""
        return Prepared(request_id, policy, wanted, prompt, params, question, began)

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

        Raises EngineGone when the engine has died.
        """
        policy, metrics = prepared.policy, self._metrics
        outcome = "error"
        completions = [_Completion() for _ in range(prepared.params.n)]
        tokens = 0
        try:
            with self._catalogue.using(policy):
                pieces = self._engine.generate(prepared.prompt.token_ids, prepared.params, policy, prepared.id)
                async with aclosing(pieces):
                    async for piece in pieces:
                        if tokens == 0:
                            seconds = time.monotonic() - prepared.began
                            metrics.first_token_seconds.labels(policy.profile).observe(seconds)
                        tokens += piece.tokens
                        completions[piece.index].add(piece)
                        yield piece
            outcome = "ok"
        except (asyncio.CancelledError, GeneratorExit):
            outcome = "cancelled"
            raise
        finally:
            self._count(policy, outcome)
            metrics.generation_seconds.labels(policy.profile).observe(time.monotonic() - prepared.began)
            metrics.tokens.labels(policy.profile, "prompt").inc(len(prepared.prompt.token_ids))
            metrics.tokens.labels(policy.profile, "completion").inc(tokens)
        yield Answer(
            id=prepared.id,
            created=int(time.time()),
            policy=policy,
            wanted=prepared.wanted,
            choices=tuple(completion.choice(index) for index, completion in enumerate(completions)),
            prompt_tokens=len(prepared.prompt.token_ids),
            passages_cut=prepared.prompt.passages_cut,
        )

    def monitor(self, prepared: Prepared, choice: Choice) -> None:
        """Hand a finished completion to online scoring."""
        # Judged against what the policy was shown, which also bounds what scoring has to read.
        request = ScoreRequest(prepared.question, prepared.prompt.passages, choice.text)
        self._scoring.submit(Finished(prepared.id, prepared.policy.profile, prepared.policy.label, request))

    def _format(self, task: Task) -> Prompt:
        content = task.content
        try:
            if isinstance(content, Question):
                return self._formatter.format(content.text, content.passages)
            if isinstance(content, Conversation):
                return self._formatter.chat(content.messages)
            return self._formatter.raw(content)
        except FgctlError as error:
            raise Invalid(str(error), task.param) from None

    def _params(self, sampling: Sampling, defaults: Decoding) -> "SamplingParams":
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        if sampling.max_tokens is not None and sampling.max_tokens > self._max_tokens:
            raise Invalid(f"max_tokens is {sampling.max_tokens}; ask for at most {self._max_tokens}.", "max_tokens")
        chosen = {name: getattr(sampling, name) for name in ("temperature", "top_p", "max_tokens")}
        values = defaults.model_dump() | {name: value for name, value in chosen.items() if value is not None}
        return SamplingParams(
            **values,
            **sampling.extra,
            seed=sampling.seed,
            stop=list(sampling.stop),
            n=sampling.n,
            logprobs=sampling.logprobs,
            output_kind=RequestOutputKind.DELTA,
        )

    def _count(self, policy: ServedPolicy | None, outcome: str) -> None:
        labels = (policy.profile, policy.label) if policy else (UNKNOWN, UNKNOWN)
        self._metrics.requests.labels(*labels, outcome).inc()


class _Completion:
    """A completion that grows piece by piece."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._tokens = 0
        self._finish_reason: str | None = None

    def add(self, piece: Piece) -> None:
        self._texts.append(piece.text)
        self._tokens += piece.tokens
        self._finish_reason = piece.finish_reason or self._finish_reason

    def choice(self, index: int) -> Choice:
        return Choice(index, "".join(self._texts), self._tokens, self._finish_reason or "stop")
