"""What some HTTP clients need and uvicorn's httptools protocol lacks.

Offers to upgrade a connection are ignored, and HTTP/1.0 gets no chunks.
"""

from typing import TYPE_CHECKING, Any, Protocol

from starlette.types import Message

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


class Parsing(Protocol):
    """What a parser tells the protocol, as far as it is read here."""

    url: bytes
    headers: list[tuple[bytes, bytes]]


class OffersIgnored:
    """httptools' parser, to which a request that offers an upgrade is a request like any other.

    httptools takes all that follows the head of such a request for another protocol, and its body would be lost. A
    server may ignore the offer (RFC 9110, section 7.8), so the request is parsed again without it.
    """

    def __init__(self, protocol: Parsing) -> None:
        """`protocol` has httptools' callbacks. It must do nothing at the end of a head and of a message `offered`."""
        self._protocol = protocol
        self._parser = _parser(protocol)

    def __getattr__(self, name: str) -> Any:
        """Whatever else the parser has."""
        return getattr(self._parser, name)

    @property
    def offered(self) -> bool:
        """Whether the request offers an upgrade, and so will be parsed again."""
        return bool(self._parser.should_upgrade() and self._parser.get_method() != b"CONNECT")

    def feed_data(self, data: bytes) -> None:
        """Parse what has arrived. Raises HttpParserError, and HttpParserUpgrade after CONNECT."""
        import httptools

        while data:
            try:
                self._parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:
                if not self.offered:
                    raise
                data = self._head() + data[upgrade.args[0] :]
                self._parser = _parser(self._protocol)

    def _head(self) -> bytes:
        """The request's head without the offer."""
        version = self._parser.get_http_version().encode()
        headers = [name + b": " + value for name, value in self._protocol.headers if name != b"upgrade"]
        start = self._parser.get_method() + b" " + self._protocol.url + b" HTTP/" + version
        return b"\r\n".join([start, *headers, b"", b""])


def _parser(protocol: Parsing) -> Any:
    import httptools

    parser = httptools.HttpRequestParser(protocol)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn sets it, to answer pipelined requests
    return parser


def without_chunks(cycle: "RequestResponseCycle") -> None:
    """Let a response of unknown length end with its connection, as HTTP/1.0 has it, instead of sending chunks."""
    send = cycle.send
    unknown = False

    async def send_unchunked(message: Message) -> None:
        nonlocal unknown
        if message["type"] == "http.response.start":
            unknown = all(name.lower() != b"content-length" for name, _ in message.get("headers", ()))
            if unknown:
                cycle.chunked_encoding = False
        elif unknown:
            cycle.expected_content_length = len(message.get("body", b""))
        await send(message)  # type: ignore[arg-type]

    cycle.send = send_unchunked  # type: ignore[assignment]
