"""The scope that a route needs, declared beside the route and enforced before anything reads the request's body."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from starlette.routing import BaseRoute, Match
from starlette.types import Scope as AsgiScope

from service.domain.caller import Scope

_ATTRIBUTE = "__needed_scope__"
_UNDECLARED: Scope = "generate"
"""What a path without a route needs, and a route that declares nothing."""
_OPENAPI = "/openapi.json"
"""FastAPI's own route, which describes the interface: open to everybody."""

Endpoint = TypeVar("Endpoint")


def needs(scope: Scope | None) -> Callable[[Endpoint], Endpoint]:
    """Declare the scope that a route's endpoint, or a mounted application, needs; None is open to everybody."""

    def declare(endpoint: Endpoint) -> Endpoint:
        setattr(endpoint, _ATTRIBUTE, scope)
        return endpoint

    return declare


def needed_scope(routes: Iterable[BaseRoute], request: AsgiScope) -> Scope | None:
    """The scope that the route of a request needs; None for none.

    A request with the wrong method needs the scope of the first route with its path.
    """
    partial: BaseRoute | None = None
    for route in routes:
        match, _ = route.matches(request)
        if match is Match.FULL:
            return declared_scope(route)
        if match is Match.PARTIAL and partial is None:
            partial = route
    return _UNDECLARED if partial is None else declared_scope(partial)


def declared_scope(route: BaseRoute) -> Scope | None:
    """The scope that a route declares; that of any other route for one that declares nothing."""
    if getattr(route, "path", None) == _OPENAPI:
        return None
    endpoint = getattr(route, "endpoint", None) or getattr(route, "app", None)
    scope: Scope | None = getattr(endpoint, _ATTRIBUTE, _UNDECLARED)
    return scope
