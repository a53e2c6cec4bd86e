"""POST /generate in terms of Generation."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import Literal

from rewards.categories import Category
from rewards.dataset import Passage
from service.caller import ANONYMOUS, Caller
from service.errors import Unavailable
from service.generate.protocol import GenerateRequest, GenerateResponse, PolicyName, Usage
from service.generation import Answer, Content, Conversation, Generation, Prepared, Question, Sampling, Task
from service.roster import rounded
from service.scoring.recent import RecentResponses
from service.selection import Selection


class GenerateServing:
    """Answers the requests of POST /generate and keeps the answers for GET /responses/{id}."""

    def __init__(self, generation: Generation, recent: RecentResponses, categories: Iterable[Category]) -> None:
        self._generation = generation
        self._recent = recent
        self._categories = tuple(categories)

    async def prepare(
        self, request: GenerateRequest, profile: str | None, weights: str | None, caller: Caller = ANONYMOUS
    ) -> Prepared:
        """Check a request. Raises ServiceError."""
        selection = Selection.of(profile, weights, self._categories)
        param, content = _content(request)
        sampling = Sampling(
            temperature=request.temperature,
            top_p=request.top_p,
            max_tokens=request.max_tokens,
            seed=request.seed,
            stop=tuple(request.stops),
        )
        return await self._generation.prepare(Task(selection, content, sampling, param, caller))

    async def turn(self, prepared: Prepared) -> Literal[True]:
        """Wait until the answer can begin. Raises Overloaded."""
        return await self._generation.turn(prepared)

    async def answer(self, prepared: Prepared) -> GenerateResponse:
        """The whole answer. Cancelling aborts the generation. Raises ServiceError."""
        async with aclosing(self.stream(prepared)) as pieces:
            async for piece in pieces:
                last = piece
        if isinstance(last, str):
            raise Unavailable("The engine ended without an answer; send the request again.")
        return last

    async def stream(self, prepared: Prepared) -> AsyncGenerator[str | GenerateResponse, None]:
        """Pieces of text as they come, then the whole answer. Closing aborts the generation. Raises ServiceError."""
        async with aclosing(self._generation.stream(prepared)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Answer):
                    response = _response(piece)
                    self._recent.add(response.model_dump())
                    self._generation.monitor(prepared, piece.choices[0])
                    yield response
                elif piece.text:
                    yield piece.text


def _content(request: GenerateRequest) -> tuple[str, Content]:
    """The parameter that holds what to answer, and that."""
    if request.question is not None:
        passages = tuple(Passage(title=p.title, text=p.text) for p in request.passages)
        return "question", Question(request.question, passages)
    if request.prompt is not None:
        return "prompt", request.prompt
    return "messages", Conversation(tuple(message.model_dump() for message in request.messages or []))


def _response(answer: Answer) -> GenerateResponse:
    (choice,) = answer.choices
    return GenerateResponse(
        id=answer.id,
        profile=answer.policy.profile,
        policy=PolicyName(name=answer.policy.profile, version=answer.policy.version),
        weights=rounded(answer.wanted),
        weights_served=rounded(answer.policy.weights),
        text=choice.text,
        finish_reason=choice.finish_reason,
        usage=Usage(prompt_tokens=answer.prompt_tokens, completion_tokens=answer.completion_tokens),
        passages_cut=answer.passages_cut,
    )
