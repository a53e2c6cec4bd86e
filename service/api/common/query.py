"""Query parameters that an endpoint does not read: a misspelt one must not be answered as if it were not there."""

from fastapi import Request

from service.errors import InvalidRequest

_POLICY = frozenset({"model", "profile", "weight", "weights"})


async def only_known(request: Request) -> None:
    """A dependency of routers. Raises InvalidRequest for a parameter that the route does not declare."""
    known = [parameter.alias for parameter in request.scope["route"].dependant.query_params]
    for name in request.query_params:
        if name not in known:
            choice = f"this path reads {' and '.join(known)}" if known else "this path reads none"
            raise InvalidRequest(f"{name[:64]!r} is not a query parameter here; {choice}.", name)


async def no_policy(request: Request) -> None:
    """A dependency of /v1, where unknown parameters are ignored as they are in the body, except for these.

    Raises InvalidRequest for a parameter that would choose the policy elsewhere.
    """
    for name in request.query_params:
        if name.lower() in _POLICY:
            raise InvalidRequest(f"The query has {name}, but /v1 reads only the body; send it there as model.", name)
