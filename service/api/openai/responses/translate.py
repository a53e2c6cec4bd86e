"""POST /v1/responses in the service's own terms."""

from collections.abc import Iterable

from rewards.categories import Category
from rewards.dataset import Passage
from service.api.common.selection import from_model
from service.api.common.wire import as_passages
from service.api.openai.common.turns import earlier_exchanges, kept_turns
from service.api.openai.responses.history import History
from service.api.openai.responses.protocol import ResponsesRequest
from service.domain.caller import Caller
from service.domain.request import AnswerRequest, Content, Conversation, Question, Turn
from service.errors import InvalidRequest


def conversation(body: ResponsesRequest, history: History) -> tuple[Turn, ...]:
    """The messages so far, without instructions."""
    if isinstance(body.input, str):
        return (*history.turns, {"role": "user", "content": body.input})
    return (*history.turns, *(message.as_turn() for message in body.input))


def to_request(
    body: ResponsesRequest,
    turns: tuple[Turn, ...],
    passages: tuple[Passage, ...],
    categories: Iterable[Category],
    prompt_tokens: int,
    caller: Caller,
) -> AnswerRequest:
    """A request for the next turn of a conversation; `passages` are those that it had before.

    `prompt_tokens` is the most that a prompt may have. Raises ServiceError.
    """
    if body.passages is not None:  # an empty list takes those from before away
        passages = as_passages(body.passages)
    selection, content = from_model(body.model, categories), _content(body, turns, passages)
    kept = None if body.store is False else kept_turns(turns, prompt_tokens)
    return AnswerRequest(selection, content, body.as_sampling(), "input", caller, kept)


def _content(body: ResponsesRequest, turns: tuple[Turn, ...], passages: tuple[Passage, ...]) -> Content:
    if not passages:
        instructions = ({"role": "system", "content": body.instructions},) if body.instructions else ()
        return Conversation((*instructions, *turns), cut=body.truncation == "auto")
    if turns[-1]["role"] != "user":
        raise InvalidRequest(
            "With passages, the last message is the question; end with a message of the user.", "input"
        )
    return Question(turns[-1]["content"], passages, earlier_exchanges(turns[:-1]))
