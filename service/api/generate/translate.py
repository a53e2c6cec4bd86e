"""POST /generate in terms of Answers."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import Literal, TypeVar

from rewards.categories import Category
from rewards.dataset import Passage
from service.answering.answers import Answers, record
from service.api.generate.protocol import BestOfResponse, GenerateRequest, GenerateResponse
from service.domain.caller import ANONYMOUS, Caller
from service.domain.request import Answer, Content, Conversation, Prepared, Question, Sampling, Task
from service.domain.selection import Selection
from service.errors import Conflicting

Given = TypeVar("Given")


class GenerateServing:
    """Answers the requests of POST /generate."""

    def __init__(self, answers: Answers, categories: Iterable[Category]) -> None:
        self._answers = answers
        self._categories = tuple(categories)

    async def prepare(
        self, request: GenerateRequest, profile: str | None, weights: str | None, caller: Caller = ANONYMOUS
    ) -> Prepared:
        """Check a request; `profile` and `weights` are those of its query. Raises ServiceError."""
        selection = Selection.of(
            _one("profile", profile, request.profile), _one("weights", weights, request.weights), self._categories
        )
        param, content = _content(request)
        sampling = Sampling(
            temperature=request.temperature,
            top_p=request.top_p,
            max_tokens=request.max_tokens,
            seed=request.seed,
            stop=request.stops,
            best_of=None if request.best_of == 1 else request.best_of,
        )
        return await self._answers.prepare(Task(selection, content, sampling, param, caller))

    async def turn(self, prepared: Prepared) -> Literal[True]:
        """Wait until the answer can begin. Raises Overloaded."""
        return await self._answers.turn(prepared)

    async def answer(self, prepared: Prepared) -> GenerateResponse:
        """The whole answer. Cancelling aborts the generation. Raises ServiceError."""
        return _response(await self._answers.answer(prepared))

    async def stream(self, prepared: Prepared) -> AsyncGenerator[str | GenerateResponse, None]:
        """Pieces of text as they come, then the whole answer; of several samples the best one's text in one piece.

        Closing aborts the generation. Raises ServiceError.
        """
        async with aclosing(self._answers.stream(prepared)) as events:
            async for event in events:
                if isinstance(event, Answer):
                    response = _response(event)
                    if event.choosing and response.text:
                        yield response.text
                    yield response
                elif event.text:
                    yield event.text


def _one(param: str, queried: str | None, given: Given | None) -> str | Given | None:
    """A parameter that the query or the body may give. Raises Conflicting where they differ."""
    if queried is not None and given is not None and queried != given:
        raise Conflicting(f"The query and the body name different {param}; give it once.", param)
    return given if queried is None else queried


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
    kind = GenerateResponse if answer.choosing is None else BestOfResponse
    return kind.model_validate(record(answer, choice))
