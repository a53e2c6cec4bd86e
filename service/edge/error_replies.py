"""The reply to every failure: the error body, in the form that the clients of its path expect."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import Scope

from service.errors import BadRequest, InvalidField, InvalidRequest, NotFound, ServiceError, UnsupportedMediaType

_MAX_QUOTED = 100
"""Characters of a value that a message quotes."""
_CODES = {401: "invalid_api_key", 429: "rate_limit_exceeded"}
"""OpenAI's codes."""
_FIELD = re.compile(r"[A-Za-z_]\w*")
_TYPES = frozenset({"str", "int", "float", "bool", "none"})
"""What pydantic calls the branches of a union, besides names such as `list[str]`."""


def error_response(error: ServiceError, scope: Scope, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The reply to a request that failed; a 503 without `retry_after` advises five seconds."""
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    if path.startswith("/v1/"):
        error = for_openai(error)
    retry = error.retry_after or (5 if error.status == 503 else None)
    advice = {} if retry is None else {"retry-after": str(retry)}
    return JSONResponse(error.body(), error.status, headers={**advice, **(headers or {})})


def for_openai(error: ServiceError) -> ServiceError:
    """An error with the status, parameter and code that OpenAI's clients know.

    It is another one, because several requests may wait for one failure.
    """
    param = "model" if error.param in ("profile", "weights") else error.param
    translated = ServiceError(error.message, param, error.retry_after)
    translated.type = error.type
    # 400 is the clients' BadRequestError; OpenAI answers nothing by 422.
    translated.status = 400 if error.status == 422 else error.status
    unknown = error.status == 404 and param == "model"
    code = "model_not_found" if unknown else _CODES.get(error.status)
    translated.details = {"code": code} | error.details
    return translated


def install_handlers(app: FastAPI) -> None:
    """Answer every failure of the application with the error body."""

    @app.exception_handler(ServiceError)
    async def service_error(request: Request, error: ServiceError) -> JSONResponse:
        return error_response(error, request.scope)

    @app.exception_handler(RequestValidationError)
    async def validation_error(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        unreadable = _not_json(request.headers) if first["loc"][0] == "body" else None
        return error_response(unreadable or from_validation(first), request.scope)

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> JSONResponse:
        path = request.url.path
        if error.status_code == 404:
            return error_response(NotFound(f"The path {path} does not exist; /docs lists all paths."), request.scope)
        if error.status_code == 400 and error.__cause__ is not None:
            return error_response(_not_json(request.headers) or _unreadable(error.__cause__), request.scope)
        refusal = ServiceError(f"{error.detail}; /docs describes what {path} accepts.")
        refusal.status, refusal.type = error.status_code, "bad_request"
        return error_response(refusal, request.scope, error.headers)


def from_validation(error: Mapping[str, Any]) -> ServiceError:
    """An error that pydantic reports, with its parameter."""
    if error["type"] == "json_invalid":
        return BadRequest(f"The body is not JSON ({error['ctx']['error']}); send a JSON object.", "body")
    param = _param(error)
    if error["type"] == "missing" and param == "body":
        return InvalidRequest("The body is empty; send a JSON object.", param)
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, InvalidField):
        return InvalidRequest(str(cause), cause.param)
    if isinstance(cause, ValueError):
        return InvalidRequest(str(cause), param)
    value = error.get("input")
    quoted = f"{param} is {_quoted(value)}" if isinstance(value, str | int | float) else param
    return InvalidRequest(f"{quoted}: {error['msg']}; fix it and send it again.", param)


def _param(error: Mapping[str, Any]) -> str:
    """The path of a parameter without the branches of unions, which pydantic puts into it."""
    location: Sequence[str | int] = error["loc"][1:] if error["loc"][0] in ("body", "query", "path") else error["loc"]
    if error["type"] != "extra_forbidden":  # whose last part is a name that the client made up
        location = [part for part in location if isinstance(part, int) or _is_field(part)]
    return ".".join(map(str, location)) or "body"


def _is_field(part: str) -> bool:
    return _FIELD.fullmatch(part) is not None and part not in _TYPES


def _not_json(headers: Headers) -> UnsupportedMediaType | None:
    """Why a body that could not be read was none by its headers; None where they promise JSON."""
    encoding = headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        return UnsupportedMediaType(
            f"The body is compressed (content-encoding: {encoding[:64]}); send it as it is.", "content-encoding"
        )
    if headers.get("content-length") == "0":
        return None
    content_type = headers.get("content-type")
    if content_type is None:
        return UnsupportedMediaType(
            "The request has no content-type; send JSON with content-type: application/json.", "content-type"
        )
    kind = content_type.partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        return UnsupportedMediaType(
            f"The content-type is {content_type[:64]}; send JSON with content-type: application/json.", "content-type"
        )
    return None


def _unreadable(cause: BaseException) -> BadRequest:
    """Why JSON could not be read, other than by its syntax."""
    if isinstance(cause, UnicodeDecodeError):
        return BadRequest("The body is not text in UTF-8; encode it so and send it again.", "body")
    if isinstance(cause, RecursionError):
        return BadRequest("The body is nested too deeply; send a flatter JSON object.", "body")
    return BadRequest(f"The body cannot be read ({cause}); correct it and send it again.", "body")


def _quoted(value: str | float) -> str:
    """A value as JSON writes it, cut to a sensible length."""
    text = json.dumps(value[: 2 * _MAX_QUOTED] if isinstance(value, str) else value, ensure_ascii=False)
    return text if len(text) <= _MAX_QUOTED else f"{text[:_MAX_QUOTED]}…"
