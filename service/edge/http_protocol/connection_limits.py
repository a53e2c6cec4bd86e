"""Limits on connections, which uvicorn lacks: close those that are idle, too many, or not read from.

They stand on uvicorn's httptools protocol, below everything that knows of requests.
"""

import asyncio
import resource
from typing import Any

_ENOUGH_FILES = 1 << 16
_OTHER_FILES = 64
"""Open files that the process needs besides its connections."""


def allowed_connections(limit: int | None) -> int:
    """How many connections there may be: `limit`, but no more than the open files that the system allows.

    Raises the soft limit of open files as far as the hard one allows and connections may need.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH_FILES if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    possible = _ENOUGH_FILES if soft == resource.RLIM_INFINITY else max(1, soft - _OTHER_FILES)
    return possible if limit is None else min(limit, possible)


def limited(protocol: Any, most: int, send_seconds: float) -> Any:
    """A subclass of uvicorn's httptools protocol with these limits on connections.

    Beyond `most` connections the one that has been without a request for longest is closed, or where all have one, the
    newest. A client may read nothing of a response for `send_seconds`.
    """

    class Limited(protocol):
        """Closes connections that are idle, too many, or not read from."""

        _free_since: float | None = None
        """Since when it has no request, by the event loop's clock; None from the end of a head to the answer's end."""
        _idle_timer: asyncio.TimerHandle | None = None
        _send_timer: asyncio.TimerHandle | None = None
        _unsent = 0
        """Bytes that waited for the client at the last look."""

        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            self._free_since = self.loop.time()
            if len(self.connections) > most:
                free = [other for other in self.connections if other._free_since is not None and other is not self]
                min(free, key=lambda other: other._free_since, default=self).transport.close()

        def on_message_begin(self) -> None:
            self._stop("_idle_timer")
            super().on_message_begin()

        def on_headers_complete(self) -> None:
            self._free_since = None
            super().on_headers_complete()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            # uvicorn's own timer ends with any byte, also a line break that begins no request.
            if not self.pipeline and not self.transport.is_closing() and self.cycle.response_complete:
                self._free_since = self.loop.time()
                self._idle_timer = self.loop.call_later(self.timeout_keep_alive, self.transport.close)

        def pause_writing(self) -> None:
            super().pause_writing()
            self._unsent = self.transport.get_write_buffer_size()
            self._send_timer = self.loop.call_later(send_seconds, self._check_sending)

        def resume_writing(self) -> None:
            super().resume_writing()
            self._stop("_send_timer")

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop("_idle_timer")
            self._stop("_send_timer")
            super().connection_lost(exc)

        def _check_sending(self) -> None:
            """Close the connection unless the client has read something since the last look."""
            waiting = self.transport.get_write_buffer_size()
            if waiting < self._unsent:
                self._unsent = waiting
                self._send_timer = self.loop.call_later(send_seconds, self._check_sending)
            else:
                self.transport.abort()

        def _stop(self, name: str) -> None:
            timer: asyncio.TimerHandle | None = getattr(self, name)
            if timer is not None:
                timer.cancel()
                setattr(self, name, None)

    return Limited
