"""Errors as OpenAI's clients expect them: 400 for whatever is wrong with a request, and a `code`."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError

from service.api.common.route import GeneratingRoute
from service.errors import NotFound, ServiceError, from_validation

_CODES = {401: "invalid_api_key", 429: "rate_limit_exceeded"}


class OpenAIRoute(GeneratingRoute):
    """A route whose errors are for OpenAI's clients."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler of any route that generates, with its errors translated."""
        handle = super().get_route_handler()

        async def translated(request: Request) -> Response:
            try:
                return await handle(request)
            except ServiceError as error:
                raise for_client(error) from None
            except RequestValidationError as error:
                raise for_client(from_validation(error)) from None

        return translated


def for_client(error: ServiceError) -> ServiceError:
    """The same error with the status, parameter and code that the clients know."""
    if error.status == 422:  # the clients' BadRequestError; OpenAI answers nothing by 422
        error.status = 400
    if error.param in ("profile", "weights"):
        error.param = "model"
    unknown = isinstance(error, NotFound)
    error.details["code"] = "model_not_found" if unknown else _CODES.get(error.status)
    return error
