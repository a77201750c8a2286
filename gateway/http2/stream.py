"""One call on the wire, and who is told of what happens to it."""

from abc import ABC, abstractmethod
from typing import Any, Final, Generic

from gateway.http2.frames import ErrorCode
from gateway.http2.headers import Block, HeaderBlock

CONNECTION_WINDOW: Final = 16 * 1024 * 1024
"""How much of all streams together a peer may send before we have looked at it."""

STREAM_WINDOW: Final = 1024 * 1024
"""How much of one stream a peer may send ahead of who reads it."""


class Listener(ABC, Generic[Block]):
    """Who is told of what happens on one stream."""

    __slots__ = ()

    @abstractmethod
    def on_headers(self, headers: Block, *, ended: bool) -> None:
        """Headers or trailers have come."""

    @abstractmethod
    def on_data(self, data: bytes, *, ended: bool) -> None:
        """Part of the body has come."""

    def on_whole(self, headers: Block, data: bytes, trailers: Block) -> None:
        """All that a stream ever brings has come at once: headers, the body, trailers."""
        self.on_headers(headers, ended=False)
        self.on_data(data, ended=False)
        self.on_headers(trailers, ended=True)

    def on_breach(self, code: ErrorCode) -> None:
        """The stream is over, for the peer broke HTTP/2's rules on it; it is told `code`."""
        self.on_failed(code, unprocessed=False)

    def on_oversized(self, limit_bytes: int) -> None:  # noqa: ARG002 - who needs it overrides
        """The stream is over, for it brought headers or trailers over the limit."""
        self.on_failed(ErrorCode.ENHANCE_YOUR_CALM, unprocessed=False)

    @abstractmethod
    def on_writable(self) -> None:
        """All that was handed in has been sent."""

    @abstractmethod
    def on_failed(self, code: ErrorCode | None, *, unprocessed: bool) -> None:
        """The stream was reset with `code`, or its connection is gone, which is None.

        `unprocessed` says that the peer is sure to have done nothing.
        """


class Stream:
    """One call on the wire."""

    __slots__ = ("credit", "id", "listener", "local_ended", "pending", "room", "send_window")

    def __init__(self, stream_id: int, listener: Listener[Any], send_window: int) -> None:
        self.id = stream_id
        self.listener = listener
        self.send_window = send_window
        self.pending: memoryview | None = None
        self.local_ended = False
        self.room = STREAM_WINDOW
        self.credit = 0


class _Nobody(Listener[HeaderBlock]):
    """Listens to a stream that is over, of which nothing more is told."""

    __slots__ = ()

    def on_headers(self, headers: HeaderBlock, *, ended: bool) -> None:
        """Does nothing."""

    def on_data(self, data: bytes, *, ended: bool) -> None:
        """Does nothing."""

    def on_writable(self) -> None:
        """Does nothing."""

    def on_failed(self, code: ErrorCode | None, *, unprocessed: bool) -> None:
        """Does nothing."""


NOBODY: Final = _Nobody()
"""Parts a stream from who listened to it."""
