"""A limit on a request's head (URL and headers) while it arrives, which uvicorn's httptools parser lacks."""

import asyncio
from typing import TYPE_CHECKING, Any

from service.edge.http_protocol.connection_limits import allowed_connections, limited
from service.edge.http_protocol.http_compatibility import OffersIgnored, without_chunks

if TYPE_CHECKING:
    from uvicorn import Config

_REFUSALS = {
    408: b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    431: b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
}


def bounded_config(
    app: Any,
    limit: int,
    seconds: float,
    *,
    send_seconds: float = 10.0,
    max_connections: int | None = None,
    **settings: Any,
) -> "Config":
    """uvicorn's configuration with a limit on heads: about `limit` bytes, arriving within `seconds`.

    Offers to upgrade the connection are ignored, and clients of HTTP/1.0 get no chunks. `send_seconds` and
    `max_connections` limit connections as `connection_limits.py` says.
    """
    from uvicorn import Config

    try:
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
    except ImportError:  # without httptools uvicorn uses h11, which has its own limit
        return Config(app, http="h11", ws="none", h11_max_incomplete_event_size=limit, **settings)

    class Bounded(HttpToolsProtocol):
        """Closes connections whose head is too long or too slow."""

        _head = 0
        _timer: asyncio.TimerHandle | None = None

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.parser: Any = OffersIgnored(self)

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._start_head()

        def on_message_begin(self) -> None:
            super().on_message_begin()
            if self._timer is None:
                self._start_head()

        def on_headers_complete(self) -> None:
            if self.parser.offered:
                return
            self._end_head()
            super().on_headers_complete()
            if self.scope["http_version"] == "1.0":
                without_chunks(self.cycle)

        def on_message_complete(self) -> None:
            if not self.parser.offered:
                super().on_message_complete()

        def data_received(self, data: bytes) -> None:
            self._head += len(data)
            super().data_received(data)
            # httptools does not pass on an unfinished header, so count the bytes received.
            if self._timer is not None and self._head > limit:
                self._refuse(431)

        def connection_lost(self, exc: Exception | None) -> None:
            self._end_head()
            super().connection_lost(exc)

        def _start_head(self) -> None:
            self._head = 0
            self._timer = self.loop.call_later(seconds, self._refuse, 408)

        def _end_head(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _refuse(self, status: int) -> None:
            self._end_head()
            if self.transport.is_closing():
                return
            answering = self.cycle is not None and not self.cycle.response_complete
            if self._head and not answering:  # else no request has begun, or a response is being sent
                self.transport.write(_REFUSALS[status])
            self.transport.close()

    protocol = limited(Bounded, allowed_connections(max_connections), send_seconds)
    return Config(app, http=protocol, ws="none", **settings)
