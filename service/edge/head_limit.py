"""What uvicorn's faster HTTP parser lacks: a bound on a request's URL and headers while they arrive."""

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from uvicorn import Config

_REFUSALS = {
    408: b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    431: b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
}


def bounded_config(app: Any, limit: int, seconds: float, **settings: Any) -> "Config":
    """uvicorn's configuration with heads of at most about `limit` bytes, which must arrive in `seconds`."""
    from uvicorn import Config

    try:
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
    except ImportError:  # without httptools uvicorn uses h11, which has a limit of its own
        return Config(app, http="h11", h11_max_incomplete_event_size=limit, **settings)

    class Bounded(HttpToolsProtocol):
        """Ends connections whose head is too long or too slow."""

        _head = 0
        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._await_head()

        def on_message_begin(self) -> None:
            super().on_message_begin()
            if self._timer is None:
                self._await_head()

        def on_headers_complete(self) -> None:
            self._forget_head()
            super().on_headers_complete()

        def data_received(self, data: bytes) -> None:
            self._head += len(data)
            super().data_received(data)
            # httptools keeps an unfinished header to itself, so only what came in can be counted.
            if self._timer is not None and self._head > limit:
                self._refuse(431)

        def connection_lost(self, exc: Exception | None) -> None:
            self._forget_head()
            super().connection_lost(exc)

        def _await_head(self) -> None:
            self._head = 0
            self._timer = self.loop.call_later(seconds, self._refuse, 408)

        def _forget_head(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _refuse(self, status: int) -> None:
            self._forget_head()
            if self.transport.is_closing():
                return
            answering = self.cycle is not None and not self.cycle.response_complete
            if self._head and not answering:  # else nothing was asked, or an answer is under way
                self.transport.write(_REFUSALS[status])
            self.transport.close()

    return Config(app, http=Bounded, **settings)
