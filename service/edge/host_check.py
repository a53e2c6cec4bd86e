"""Who may be meant by a request to a service that only this machine can reach, and that asks for no key.

A web page can make its own host's name point to this machine (DNS rebinding). Its requests then reach the service as if
they came from its own pages, and only their Host header says otherwise.
"""

from collections.abc import Collection
from ipaddress import ip_address

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from service.edge.error_replies import error_response
from service.errors import Forbidden


class HostCheck:
    """Answers 403 to requests for another host than this machine."""

    def __init__(self, app: ASGIApp, hosts: Collection[str]) -> None:
        """`hosts` are allowed besides this machine's own names."""
        self.app = app
        self.hosts = frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check the Host header; browsers always send one."""
        host = _name(Headers(scope=scope).get("host", "localhost")) if scope["type"] == "http" else "localhost"
        if host in self.hosts or _is_this_machine(host):
            await self.app(scope, receive, send)
            return
        error = Forbidden(
            f"This service asks for no key and so answers only requests for this machine, not for {host[:64]!r}; make "
            "keys, or allow the name by FGCTL_HOSTS."
        )
        await error_response(error, scope, {"connection": "close"})(scope, receive, send)


def _name(host: str) -> str:
    """A Host header without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].rstrip(".").lower()


def _is_this_machine(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
