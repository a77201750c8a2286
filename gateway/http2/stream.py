"""One stream of a connection: its events, and its windows."""

from abc import ABC, abstractmethod
from typing import Final, Generic

from gateway.http2.frames import DEFAULT_FRAME_SIZE, ErrorCode
from gateway.http2.headers import Block

CONNECTION_WINDOW: Final = 16 * 1024 * 1024
"""Bytes of all streams together that a peer may send before they are processed."""

STREAM_WINDOW: Final = 1024 * 1024
"""Bytes of one stream that a peer may send before they are read."""

JOINED_BYTES: Final = DEFAULT_FRAME_SIZE - 5
"""The largest message that is put into one frame with its prefix, which is then a copy."""

PART_BYTES: Final = 4096
"""The size from which data of a body is kept as it came, and not joined with what is around it."""


class Stream(ABC, Generic[Block]):
    """One stream: receives its events, and has what the connection counts for it.

    The connection sets all of that when the stream begins.
    """

    __slots__ = ("credit", "id", "local_ended", "pending", "room", "send_window")

    id: int
    send_window: int
    """Bytes that the peer accepts now; negative after it has made its window smaller."""
    pending: list[memoryview] | None
    """The data that waits to be sent, in order; None if there is none."""
    local_ended: bool
    """True if the last data was given."""
    room: int
    """Bytes that the peer may send."""
    credit: int
    """Bytes that have been taken, and for which the peer got no new room yet."""

    @abstractmethod
    def on_headers(self, headers: Block, *, ended: bool) -> None:
        """Headers or trailers have come."""

    @abstractmethod
    def on_data(self, data: bytes, *, ended: bool) -> None:
        """Part of the body has come."""

    def on_part(self, data: memoryview) -> None:
        """Part of the body has come, in memory that is used again after `on_parts_end`.

        Before that, other parts can come, of this stream and of others.
        """
        self.on_data(bytes(data), ended=False)

    def on_parts_end(self) -> None:
        """The memory is used again: parts that are still wanted have to be copied."""

    def on_whole(self, headers: Block, data: bytes, trailers: Block) -> None:
        """The whole content of a stream has come at once: headers, the body, trailers."""
        self.on_headers(headers, ended=False)
        self.on_data(data, ended=False)
        self.on_headers(trailers, ended=True)

    def on_breach(self, code: ErrorCode) -> None:
        """The stream was reset with `code`, because the peer broke HTTP/2's rules on it."""
        self.on_failed(code, unprocessed=False)

    def on_oversized(self, limit_bytes: int) -> None:  # noqa: ARG002 - for overriding methods
        """The stream is over because its headers or trailers are over the limit."""
        self.on_failed(ErrorCode.ENHANCE_YOUR_CALM, unprocessed=False)

    @abstractmethod
    def on_writable(self) -> None:
        """All data given has been sent."""

    @abstractmethod
    def on_failed(self, code: ErrorCode | None, *, unprocessed: bool) -> None:
        """The stream was reset with `code`, or its connection is gone, which is None.

        `unprocessed` is true if the peer has certainly not processed the call.
        """
