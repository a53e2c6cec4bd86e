"""POST /v1/chat/completions in the service's own terms."""

from collections.abc import Iterable
from typing import Any

from rewards.categories import Category
from rewards.dataset import Passage
from service.api.common.selection import from_model
from service.api.openai.chat.protocol import ChatRequest
from service.domain.caller import Caller
from service.domain.request import AnswerRequest, Content, Conversation, Question


def to_request(body: ChatRequest, categories: Iterable[Category], caller: Caller) -> AnswerRequest:
    """A request. Raises ServiceError."""
    return AnswerRequest(from_model(body.model, categories), _content(body), body.as_sampling(), "messages", caller)


def extra_fields(body: ChatRequest) -> dict[str, Any]:
    """The response's field for messages that were not read because `passages` make the last one the question."""
    return {"messages_left_out": len(body.messages) - 1} if body.passages else {}


def _content(body: ChatRequest) -> Content:
    if body.passages:
        passages = tuple(Passage(title=passage.title, text=passage.text) for passage in body.passages)
        return Question(body.messages[-1].text, passages)
    return Conversation(tuple(message.as_turn() for message in body.messages))
