"""Routes that generate: the caller's allowance is checked before a long body is parsed, and told with the response."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.datastructures import Headers

from service.api.common.rate_limits import rate_limit_headers
from service.backend import backend_of
from service.edge.authentication import caller_of
from service.edge.request_context import current

_LONG = 16_384
"""Bytes of a body that takes longer to parse than a refusal should."""


class GeneratingRoute(APIRoute):
    """A caller over its limits is refused at once, however much it sends. A short body says more, so it is read."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler that FastAPI makes, behind the check."""
        handle = super().get_route_handler()

        async def checked(request: Request) -> Response:
            try:
                if _has_long_body(request.headers):
                    backend_of(request).pipeline.check_allowance(caller_of(request))
                return await handle(request)
            finally:
                if (context := current()) is not None:
                    remaining = backend_of(request).admission.remaining(caller_of(request))
                    context.headers.update(rate_limit_headers(remaining))

        return checked


def _has_long_body(headers: Headers) -> bool:
    length = headers.get("content-length", "0")
    return "transfer-encoding" in headers or not length.isdecimal() or int(length[:10]) > _LONG
