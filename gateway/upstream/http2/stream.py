"""One call on the wire, and who is told of what happens to it."""

from typing import Protocol

from gateway.upstream.http2.frames import ErrorCode
from gateway.upstream.http2.headers import ResponseHeaders

STREAM_WINDOW = 1024 * 1024
"""How much of one stream a peer may send ahead of who reads it."""


class ConnectionFailed(Exception):  # noqa: N818 - reads as what happened
    """The peer broke the protocol; the connection is over."""

    def __init__(self, code: ErrorCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Listener(Protocol):
    """Who is told of what happens on one stream."""

    def on_headers(self, headers: ResponseHeaders, *, ended: bool) -> None:
        """Headers or trailers have come."""

    def on_data(self, data: bytes, *, ended: bool) -> None:
        """Part of the body has come."""

    def on_writable(self) -> None:
        """All that was handed in has been sent."""

    def on_failed(self, code: ErrorCode, *, unprocessed: bool) -> None:
        """The stream is over; `unprocessed` if the peer is sure to have done nothing."""


class Stream:
    """One call on the wire."""

    __slots__ = ("credit", "id", "listener", "local_ended", "pending", "room", "send_window")

    def __init__(self, stream_id: int, listener: Listener, send_window: int) -> None:
        self.id = stream_id
        self.listener = listener
        self.send_window = send_window
        self.pending: memoryview | None = None
        self.local_ended = False
        self.room = STREAM_WINDOW
        self.credit = 0


def unpadded(payload: bytes) -> bytes:
    """The payload of a padded frame without its padding (RFC 9113 section 6.1)."""
    if not payload or payload[0] >= len(payload):
        raise ConnectionFailed(ErrorCode.PROTOCOL_ERROR, "padding is longer than its frame")
    return payload[1 : len(payload) - payload[0]]


def error_code(payload: bytes) -> ErrorCode:
    """The code of a RST_STREAM; one that is not known is an INTERNAL_ERROR."""
    number = int.from_bytes(payload, "big")
    return ErrorCode(number) if number <= ErrorCode.HTTP_1_1_REQUIRED else ErrorCode.INTERNAL_ERROR
