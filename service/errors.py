"""Errors that carry their HTTP status, and the one error body for every failure.

{"error": {"type": "…", "message": "one sentence that says what is wrong and what to do", "param": "…"}}
"""

from typing import Any

from pydantic import BaseModel

from rewards.errors import FgctlError


class ServiceError(FgctlError):
    """A request that cannot be answered. Subclasses set the status and type."""

    status = 500
    type = "internal_error"
    outcome = "rejected"
    """The value of the label `outcome` under which `fg_requests_total` counts the request."""

    def __init__(self, message: str, param: str | None = None, retry_after: int | None = None) -> None:
        """`retry_after` is in how many seconds the request may succeed."""
        super().__init__(message)
        self.message = _printable(message)
        self.param = None if param is None else _printable(param)
        self.retry_after = retry_after
        self.details: dict[str, Any] = {}
        """Further fields of the body."""

    def body(self) -> dict[str, Any]:
        """The error body."""
        return {"error": {"type": self.type, "message": self.message, "param": self.param, **self.details}}


class BadRequest(ServiceError):
    """Parameters that exclude each other, or a body that is not JSON."""

    status, type = 400, "bad_request"


class InvalidRequest(ServiceError):
    """A parameter with an invalid value."""

    status, type = 422, "invalid_request"


class InvalidField(ValueError):
    """What a validator of a whole request raises for one of its fields."""

    def __init__(self, param: str, message: str) -> None:
        super().__init__(message)
        self.param = param


class NotFound(ServiceError):
    """A name that does not exist."""

    status, type = 404, "not_found"


class Unauthenticated(ServiceError):
    """No API key, or an unknown one."""

    status, type = 401, "unauthenticated"


class Forbidden(ServiceError):
    """A key that lacks the required scope, or the name of an annotator who belongs to another key."""

    status, type = 403, "forbidden"


class TooSlow(ServiceError):
    """A request body that does not arrive in time."""

    status, type = 408, "too_slow"


class TooLarge(ServiceError):
    """A request body over the limit."""

    status, type = 413, "too_large"


class UnsupportedMediaType(ServiceError):
    """A request body that is not JSON by its headers."""

    status, type = 415, "unsupported_media_type"


class HeadTooLarge(ServiceError):
    """A URL and headers over the limit."""

    status, type = 431, "too_large"


class RateLimited(ServiceError):
    """A caller over its limits."""

    status, type, outcome = 429, "rate_limited", "limited"

    def __init__(self, message: str, reason: str, retry_after: int) -> None:
        """`reason` is one of REFUSALS."""
        super().__init__(message, None, retry_after)
        self.reason = reason


class Unavailable(ServiceError):
    """An engine or policy that is not ready or has failed."""

    status, type = 503, "unavailable"


class EngineFull(Unavailable):
    """As many adapters as the engine can hold: vLLM would drop one of them by itself."""

    def __init__(self, adapters: int) -> None:
        super().__init__(f"The engine holds {adapters} adapters, as many as it can; try again later.")


class Overloaded(ServiceError):
    """More requests than the service can answer soon."""

    status, type, outcome = 503, "overloaded", "overloaded"

    def __init__(self, message: str, reason: str, retry_after: int) -> None:
        """`reason` is one of REFUSALS."""
        super().__init__(message, None, retry_after)
        self.reason = reason


class RequestTimedOut(ServiceError):
    """A request that took longer than allowed."""

    status, type, outcome = 503, "timeout", "timeout"


REFUSALS = (
    "concurrency",
    "requests_per_minute",
    "tokens_per_minute",
    "waiting_requests",
    "waiting_tokens",
    "queue_timeout",
    "stopping",
    "waiting_scores",
)
"""Why load made the service refuse a request: the first three concern one caller (429), the others everybody (503)."""

_MAX_CHARACTERS = 1000
"""Of a message or a parameter's name; both may quote the request."""


def _printable(text: str) -> str:
    """The text cut to a sensible length and without lone surrogates, which JSON allows and UTF-8 cannot encode."""
    return text[:_MAX_CHARACTERS].encode("utf-8", "replace").decode("utf-8")


class ErrorDetail(BaseModel):
    """What is wrong."""

    type: str
    message: str
    """One sentence that says what is wrong and what to do."""
    param: str | None
    """The parameter that is wrong."""
    code: str | None = None
    """OpenAI's code for the error; only on /v1."""
    violations: list[dict[str, str]] | None = None
    """For an annotation: the rules that it breaks, 20 at most, as `code`, `field` and `message`."""
    version: int | None = None
    """For stale feedback: the version that it would replace, to be sent as `based_on` by whoever wants that."""
    question: str | None = None
    """For stale feedback: asks the person whether to replace it."""


class ErrorBody(BaseModel):
    """The body of every response that reports a failure."""

    error: ErrorDetail


_DESCRIPTIONS = {
    400: "Parameters exclude each other, the body is not JSON, or the path holds a control character.",
    401: "The API key is missing or unknown.",
    403: "The key lacks the required scope, or the annotator's name belongs to another key.",
    404: "There is nothing of that name.",
    409: "The submission_id was used before with other content, somebody submitted since `based_on`, or the "
    "response to delete has feedback.",
    408: "The body did not arrive in time.",
    413: "The body is over the limit.",
    415: "The body is compressed, or its content type is not JSON.",
    422: "A parameter has an invalid value.",
    429: "The caller is over its limits; Retry-After says when to try again.",
    431: "URL and headers are over the limit.",
    503: "Not ready, too busy or too slow; Retry-After says when to try again.",
}


def error_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors that a route may answer with, as its OpenAPI declaration lists them."""
    return {status: {"model": ErrorBody, "description": _DESCRIPTIONS[status]} for status in statuses}


ANY_ROUTE = error_responses(400, 401, 403, 408, 413, 422, 431)
"""Errors of every route that requires a key."""
WITH_BODY = ANY_ROUTE | error_responses(415)
"""Errors of every route that reads a body."""
GENERATING = WITH_BODY | error_responses(404, 429, 503)
"""Errors of every route that generates."""
