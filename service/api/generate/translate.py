"""POST /generate in the service's own terms."""

from collections.abc import AsyncGenerator, Iterable
from typing import TypeVar

from rewards.categories import Category
from service.api.common.reply import completion_json
from service.api.common.selection import from_parameters
from service.api.common.wire import as_passages
from service.api.generate.protocol import BestOfResponse, GenerateRequest, GenerateResponse
from service.domain.answer import Answer, Piece
from service.domain.caller import ANONYMOUS, Caller
from service.domain.request import AnswerRequest, Content, Conversation, Question, Sampling
from service.errors import BadRequest

Value = TypeVar("Value")


def to_request(
    body: GenerateRequest,
    categories: Iterable[Category],
    *,
    profile: str | None = None,
    weights: str | None = None,
    caller: Caller = ANONYMOUS,
) -> AnswerRequest:
    """A request; `profile` and `weights` are those of its query. Raises ServiceError."""
    selection = from_parameters(
        _either("profile", profile, body.profile), _either("weights", weights, body.weights), categories
    )
    param, content = _content(body)
    sampling = Sampling(
        temperature=body.temperature,
        top_p=body.top_p,
        max_tokens=body.max_tokens,
        seed=body.seed,
        stop=body.stops,
        best_of=None if body.best_of == 1 else body.best_of,
    )
    return AnswerRequest(selection, content, sampling, param, caller)


def to_reply(answer: Answer) -> GenerateResponse:
    """An answer of one completion as the response's body."""
    (completion,) = answer.completions
    reply = GenerateResponse if answer.best_of is None else BestOfResponse
    return reply.model_validate(completion_json(answer, completion))


async def to_events(events: AsyncGenerator[Piece | Answer, None]) -> AsyncGenerator[str | GenerateResponse, None]:
    """A stream's pieces of text, then the reply; the best of several samples is one piece."""
    async for event in events:
        if isinstance(event, Answer):
            reply = to_reply(event)
            if event.best_of and reply.text:
                yield reply.text
            yield reply
        elif event.text:
            yield event.text


def _either(param: str, in_query: str | None, in_body: Value | None) -> str | Value | None:
    """A parameter that the query or the body may have. Raises BadRequest where they differ."""
    if in_query is not None and in_body is not None and in_query != in_body:
        raise BadRequest(f"The query and the body name different {param}; give it once.", param)
    return in_body if in_query is None else in_query


def _content(body: GenerateRequest) -> tuple[str, Content]:
    """The parameter that holds what to answer, and its value."""
    if body.question is not None:
        return "question", Question(body.question, as_passages(body.passages))
    if body.prompt is not None:
        return "prompt", body.prompt
    return "messages", Conversation(tuple(message.as_turn() for message in body.messages or []))
