"""OpenAI's headers that tell a caller what it may still use of its limits per minute."""

from collections.abc import Mapping

from service.admission.caller_limits import Remaining

RATE_LIMIT_HEADERS = tuple(
    f"x-ratelimit-{what}-{unit}" for what in ("limit", "remaining", "reset") for unit in ("requests", "tokens")
)


def rate_limit_headers(remaining: Mapping[str, Remaining]) -> dict[str, str]:
    """The headers; none of what is not limited."""
    headers: dict[str, str] = {}
    for unit, state in remaining.items():
        headers[f"x-ratelimit-limit-{unit}"] = str(state.limit)
        headers[f"x-ratelimit-remaining-{unit}"] = str(state.left)
        headers[f"x-ratelimit-reset-{unit}"] = f"{state.reset:.3f}s"
    return headers
