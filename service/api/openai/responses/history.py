"""The conversation and the passages of an earlier response, from memory or from the feedback store."""

from dataclasses import dataclass

from rewards.dataset import Passage
from service.api.openai.responses.kept import kept_response
from service.backend import Backend
from service.domain.caller import Caller
from service.domain.request import Turn
from service.errors import InvalidRequest
from service.scoring.recent_responses import RecentResponse


@dataclass(frozen=True)
class History:
    """What an earlier response was part of."""

    turns: tuple[Turn, ...] = ()
    """The conversation with its answer; without instructions."""
    passages: tuple[Passage, ...] = ()
    """As much of them as its prompt held."""


async def history(backend: Backend, response_id: str | None, caller: Caller) -> History:
    """What a request goes on from. Raises InvalidRequest for a response that is not kept, or is another caller's."""
    if response_id is None:
        return History()
    kept = await kept_response(backend, response_id, caller)
    if kept is None or kept.turns is None:
        error = InvalidRequest(
            f"Previous response with id {response_id[:64]!r} not found; send the whole conversation as input.",
            "previous_response_id",
        )
        error.details["code"] = "previous_response_not_found"
        raise error
    text = kept.completion.text if isinstance(kept, RecentResponse) else kept.text
    passages = tuple(Passage(title=passage.title, text=passage.text) for passage in kept.passages)
    return History((*kept.turns, {"role": "assistant", "content": text}), passages)
