"""Errors that carry their HTTP status, and the one error body every failure is answered with.

{"error": {"type": "…", "message": "one sentence that says what to do", "param": "…"}}
"""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from rewards.errors import FgctlError


class ServiceError(FgctlError):
    """A request that cannot be answered. Subclasses fix status and type."""

    status = 500
    type = "internal_error"
    outcome = "rejected"
    """What `fg_requests_total` counts the request as."""

    def __init__(self, message: str, param: str | None = None, retry_after: int | None = None) -> None:
        """`retry_after` is the seconds after which the request may succeed."""
        super().__init__(message)
        self.message = _printable(message)
        self.param = None if param is None else _printable(param)
        self.retry_after = retry_after
        self.details: dict[str, Any] = {}
        """Further fields of the body."""

    def body(self) -> dict[str, Any]:
        """The error body."""
        return {"error": {"type": self.type, "message": self.message, "param": self.param, **self.details}}


class Conflicting(ServiceError):
    """Parameters that exclude each other, or a body that is no JSON."""

    status, type = 400, "bad_request"


class Invalid(ServiceError):
    """A parameter whose value cannot be used."""

    status, type = 422, "invalid_request"


class NotFound(ServiceError):
    """Something asked for by a name that does not exist."""

    status, type = 404, "not_found"


class Unauthenticated(ServiceError):
    """No key, or none that is known."""

    status, type = 401, "unauthenticated"


class Forbidden(ServiceError):
    """A key without the scope that is needed, or the name of an annotator that belongs to another key."""

    status, type = 403, "forbidden"


class TooSlow(ServiceError):
    """A request body that does not arrive."""

    status, type = 408, "too_slow"


class TooLarge(ServiceError):
    """A request body over the limit."""

    status, type = 413, "too_large"


class HeadTooLarge(ServiceError):
    """A URL and headers over the limit."""

    status, type = 431, "too_large"


class Limited(ServiceError):
    """More than the caller may use."""

    status, type, outcome = 429, "rate_limited", "limited"

    def __init__(self, message: str, reason: str, retry_after: int) -> None:
        """`reason` is one of REFUSALS."""
        super().__init__(message, None, retry_after)
        self.reason = reason


class Unavailable(ServiceError):
    """The engine or a policy is not ready, or is gone."""

    status, type = 503, "unavailable"


class Overloaded(ServiceError):
    """More requests than can be answered soon."""

    status, type, outcome = 503, "overloaded", "overloaded"

    def __init__(self, message: str, reason: str, retry_after: int) -> None:
        """`reason` is one of REFUSALS."""
        super().__init__(message, None, retry_after)
        self.reason = reason


class TimedOut(ServiceError):
    """A request that took longer than it may."""

    status, type, outcome = 503, "timeout", "timeout"


REFUSALS = (
    "concurrency",
    "requests_per_minute",
    "tokens_per_minute",
    "waiting_requests",
    "waiting_tokens",
    "queue_timeout",
    "stopping",
)
"""Why a request was refused for load: the first three to one caller (429), the others to everybody (503)."""

_LONGEST = 1000
"""Characters of a message or a parameter's name; both may quote the request."""


def _printable(text: str) -> str:
    """Text that can be sent: JSON has lone surrogates, UTF-8 has not."""
    return text[:_LONGEST].encode("utf-8", "replace").decode("utf-8")


class ErrorDetail(BaseModel):
    """What went wrong."""

    type: str
    message: str
    """One sentence that says what to do."""
    param: str | None
    """The parameter it is about."""
    code: str | None = None
    """OpenAI's name for it, on /v1 alone."""
    violations: list[dict[str, str]] | None = None
    """Of an annotation: every rule it breaks, as `code`, `field` and `message`."""


class ErrorBody(BaseModel):
    """What every failure is answered with."""

    error: ErrorDetail


_DESCRIPTIONS = {
    400: "Parameters that exclude each other, or a body that is no JSON.",
    401: "No key, or none that is known.",
    403: "The key has not the scope that is needed, or the annotator's name belongs to another key.",
    404: "Nothing of that name.",
    409: "The submission_id is kept with other content.",
    408: "The body did not arrive in time.",
    413: "The body is over the limit.",
    422: "A parameter that cannot be used.",
    429: "More than the caller may use; Retry-After says when to come back.",
    431: "URL and headers are over the limit.",
    503: "Not ready, too busy or too slow; Retry-After says when to come back.",
}


def error_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What a route declares of the errors it answers with."""
    return {status: {"model": ErrorBody, "description": _DESCRIPTIONS[status]} for status in statuses}


ANY_ROUTE = error_responses(401, 403, 408, 413, 422, 431)
"""Errors of every route that needs a key."""
GENERATING = ANY_ROUTE | error_responses(400, 404, 429, 503)
"""Errors of every route that generates."""


def error_response(error: ServiceError, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The response of an error; 503 asks to come back in a few seconds, where it does not know better."""
    retry = error.retry_after or (5 if error.status == 503 else None)
    added = {} if retry is None else {"retry-after": str(retry)}
    return JSONResponse(error.body(), error.status, headers={**added, **(headers or {})})


def install_handlers(app: FastAPI) -> None:
    """Answer every failure of the application with the error body."""

    @app.exception_handler(ServiceError)
    async def service_error(request: Request, error: ServiceError) -> JSONResponse:
        return error_response(error)

    @app.exception_handler(RequestValidationError)
    async def validation_error(request: Request, error: RequestValidationError) -> JSONResponse:
        return error_response(from_validation(error))

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> JSONResponse:
        if error.status_code == 404:
            return error_response(NotFound(f"There is nothing at {request.url.path}; see /docs for what there is."))
        answer = ServiceError(f"{error.detail}; see /docs for what {request.url.path} takes.")
        answer.status, answer.type = error.status_code, "bad_request"
        return error_response(answer, error.headers)


def from_validation(error: RequestValidationError) -> ServiceError:
    """The first thing that is wrong with a request, naming its parameter."""
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return Conflicting(f"The body is not JSON ({first['ctx']['error']}); send a JSON object.", "body")
    where = [str(part) for part in first["loc"] if part not in ("body", "query", "path")]
    param = ".".join(where) or "body"
    cause = first.get("ctx", {}).get("error")
    message = str(cause) if isinstance(cause, ValueError) else f"{param}: {first['msg']}; mend it and send it again."
    return Invalid(message, param)
