"""POST /v1/chat/completions in the service's own terms."""

from collections.abc import Iterable, Sequence

from rewards.categories import Category
from service.api.common.selection import from_model
from service.api.common.wire import PassageIn, as_passages
from service.api.openai.chat.protocol import ChatMessage, ChatRequest
from service.api.openai.common.turns import earlier_exchanges
from service.domain.caller import Caller
from service.domain.request import AnswerRequest, Content, Conversation, Question


def to_request(body: ChatRequest, categories: Iterable[Category], caller: Caller) -> AnswerRequest:
    """A request. Raises ServiceError."""
    content = content_of(body.messages, body.passages)
    return AnswerRequest(from_model(body.model, categories), content, body.as_sampling(), "messages", caller)


def message_count(body: ChatRequest) -> int | None:
    """The messages, of which the response says how many were not read; None without passages, when all are."""
    return len(body.messages) if body.passages else None


def content_of(messages: Sequence[ChatMessage], passages: Sequence[PassageIn] | None) -> Content:
    """A conversation; with passages, the question that its last message asks."""
    turns = tuple(message.as_turn() for message in messages)
    if passages:
        return Question(turns[-1]["content"], as_passages(passages), earlier_exchanges(turns[:-1]))
    return Conversation(turns)
