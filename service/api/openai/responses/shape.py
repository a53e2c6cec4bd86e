"""OpenAI's Response and its parts as JSON, from plain values: one shape for a new one and a retrieved one."""

from typing import Any

from service.domain.answer import Answer


def response_json(response_id: str, model: str, created: int, status: str, **fields: Any) -> dict[str, Any]:
    """A response with what every one has in common; `created` is Unix time. What `fields` leaves out is null."""
    return {
        "id": response_id,
        "object": "response",
        "created_at": created,
        "completed_at": None,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "metadata": None,
        "model": model,
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "store": None,
        "temperature": None,
        "text": None,
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": None,
        "top_p": None,
        "truncation": None,
        "usage": None,
    } | fields


def ending_json(response_id: str, finish_reason: str | None, content: dict[str, Any]) -> dict[str, Any]:
    """The fields of a response that has ended: its state, and its only message with its only part."""
    status = status_of(finish_reason)
    return {
        "status": status,
        "incomplete_details": None if status == "completed" else {"reason": "max_output_tokens"},
        "output": [message_json(response_id, status, content)],
    }


def status_of(finish_reason: str | None) -> str:
    """`incomplete` where the answer has as many tokens as it may."""
    return "incomplete" if finish_reason == "length" else "completed"


def message_id(response_id: str) -> str:
    """The id of a response's only message."""
    return response_id.replace("resp_", "msg_", 1)


def message_json(response_id: str, status: str, *content: dict[str, Any]) -> dict[str, Any]:
    """The output's only message."""
    return {
        "id": message_id(response_id), "type": "message", "role": "assistant", "status": status,
        "content": list(content),
    }  # fmt: skip


def text_json(text: str, logprobs: list[dict[str, Any]]) -> dict[str, Any]:
    """The message's only part."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": logprobs}


def usage_json(answer: Answer) -> dict[str, Any]:
    """The tokens of an answer."""
    return {
        "input_tokens": answer.prompt_tokens,
        "input_tokens_details": {"cached_tokens": answer.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": answer.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": answer.prompt_tokens + answer.completion_tokens,
    }
