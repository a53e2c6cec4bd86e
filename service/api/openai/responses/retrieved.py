"""A response that is kept, in the shape that POST /v1/responses gave it; what is not kept is null."""

from typing import Any

from service.api.common.reply import best_of_json, sources_json
from service.api.openai.responses.shape import ending_json, response_json, text_json, usage_json
from service.feedback.records import StoredResponse
from service.scoring.recent_responses import RecentResponse


def retrieved_json(response_id: str, kept: RecentResponse | StoredResponse) -> dict[str, Any]:
    """The response. Memory knows its tokens, weights and how it was chosen; the store only the weights asked for."""
    fields = _from_memory(kept) if isinstance(kept, RecentResponse) else _from_store(kept)
    return response_json(response_id, **fields, store=True, messages_left_out=None)


def _from_memory(kept: RecentResponse) -> dict[str, Any]:
    answer, completion = kept.answer, kept.completion
    return {
        "model": answer.policy.profile,
        "created": answer.created,
        "usage": usage_json(answer),
        **ending_json(answer.id, completion.finish_reason, text_json(completion.text, [])),
        **sources_json(answer.policy, answer.weights, answer.passages_cut),
        **best_of_json(answer, completion),
    }


def _from_store(kept: StoredResponse) -> dict[str, Any]:
    return {
        "model": kept.profile,
        "created": int(kept.created.timestamp()),
        **ending_json(kept.id, kept.finish_reason, text_json(kept.text, [])),
        "policy": {"name": kept.profile, "version": kept.policy},
        "weights": kept.weights,
        "weights_served": None,
        "passages_cut": None,
    }
