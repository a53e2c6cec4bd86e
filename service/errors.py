"""Errors that carry their HTTP status, and the one error body every failure is answered with.

{"error": {"type": "…", "message": "one sentence that says what to do", "param": "…"}}
"""

import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from rewards.errors import FgctlError

logger = logging.getLogger(__name__)


class ServiceError(FgctlError):
    """A request that cannot be answered. Subclasses fix status and type."""

    status = 500
    type = "internal_error"

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
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


class TooLarge(ServiceError):
    """A request body over the limit."""

    status, type = 413, "too_large"


class Unavailable(ServiceError):
    """The engine or a policy is not ready, or is gone."""

    status, type = 503, "unavailable"


def error_response(error: ServiceError, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The response of an error; 503 asks to come back in a few seconds."""
    retry = {"retry-after": "5"} if error.status == 503 else {}
    return JSONResponse(error.body(), error.status, headers={**retry, **(headers or {})})


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

    @app.exception_handler(Exception)
    async def unforeseen(request: Request, error: Exception) -> JSONResponse:
        logger.exception("unforeseen error on %s %s", request.method, request.url.path, exc_info=error)
        return error_response(ServiceError("The service failed on this request; its log says why."))


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
