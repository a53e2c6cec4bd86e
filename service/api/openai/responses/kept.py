"""The responses that a caller may go on from, retrieve and delete: in memory, in the feedback store, or in both."""

from service.backend import Backend
from service.domain.caller import Caller, kept_caller
from service.feedback.records import StoredResponse
from service.scoring.recent_responses import RecentResponse


async def kept_response(backend: Backend, response_id: str, caller: Caller) -> RecentResponse | StoredResponse | None:
    """A response whose conversation is kept; None for another caller's. Raises Unavailable and StoreFailed."""
    owner = kept_caller(caller.id)
    recent = backend.recent.get(response_id)
    if recent is not None and recent.turns is not None and kept_caller(recent.caller_id) == owner:
        return recent
    stored = await backend.feedback.served(response_id)
    return stored if stored is not None and stored.turns is not None and stored.caller == owner else None


async def delete_kept(backend: Backend, response_id: str, caller: Caller) -> bool:
    """Delete a response from memory and from the store. False where `kept_response` is None.

    Raises HasFeedback where somebody has judged it, Unavailable and StoreFailed; it then stays everywhere.
    """
    if await kept_response(backend, response_id, caller) is None:
        return False
    await backend.feedback.delete_response(response_id, kept_caller(caller.id))
    backend.recent.remove(response_id)
    return True
