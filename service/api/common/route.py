"""Routes of requests that count against a caller's limits: the allowance is checked before a long body is parsed."""

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


Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class LimitedRoute(APIRoute):
    """A caller over its limits is refused at once, however much it sends. A short body says more, so it is read."""

    def get_route_handler(self) -> Handler:
        """The handler that FastAPI makes, behind the check."""
        handle = super().get_route_handler()

        async def checked(request: Request) -> Response:
            if _has_long_body(request.headers):
                self.check_allowance(request)
            return await handle(request)

        return checked

    def check_allowance(self, request: Request) -> None:
        """Refuse a caller whose request would be refused whatever it holds. Raises RateLimited, Overloaded."""
        backend_of(request).pipeline.check_allowance(caller_of(request))


class ScoringRoute(LimitedRoute):
    """A route whose requests need no place in the engine, so that a full engine does not matter."""

    def check_allowance(self, request: Request) -> None:
        """As for other routes."""
        backend_of(request).admission.check_admitted(caller_of(request))


class GeneratingRoute(LimitedRoute):
    """A route that generates, whose responses say what the caller may still use."""

    def get_route_handler(self) -> Handler:
        """The handler with the check, which adds the headers even to a refusal."""
        handle = super().get_route_handler()

        async def told(request: Request) -> Response:
            try:
                return await handle(request)
            finally:
                if (context := current()) is not None:
                    remaining = backend_of(request).admission.remaining(caller_of(request))
                    context.headers.update(rate_limit_headers(remaining))

        return told


def _has_long_body(headers: Headers) -> bool:
    length = headers.get("content-length", "0")
    return "transfer-encoding" in headers or not length.isdecimal() or int(length[:10]) > _LONG
