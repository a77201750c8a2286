"""Payloads of the frames a server sends, checked and read (RFC 9113 section 6)."""

import struct
from collections.abc import Callable, Mapping
from typing import Final

from gateway.http2 import frames
from gateway.http2.frames import ErrorCode

_MAX_CONTINUATIONS: Final = 1024
"""The most frames that continue one block. What is over the limit is dropped as it comes, so this
bounds how long a block may hold up its connection: at 16 KiB a frame, for 16 MiB."""
_MAX_SETTINGS: Final = 32
"""The most entries of one SETTINGS frame; RFC 9113 and its extensions define about ten."""
# How gRPC servers object to keepalive that is too eager (gRFC A8).
_TOO_MANY_PINGS: Final = ErrorCode.ENHANCE_YOUR_CALM.to_bytes(4, "big") + b"too_many_pings"
_MAX_IDLE_FRAMES: Final = 10_000
"""How many frames that bring nothing are borne within `_IDLE_FRAMES_PERIOD_S`."""
_IDLE_FRAMES_PERIOD_S: Final = 60.0
_IDLE_FRAMES_EARNED: Final = 20
"""How many of them one useful frame makes good: a peer may open windows and ping as data goes."""

MISSING: Mapping[int, str] = {
    frames.SETTINGS: "no HTTP/2 server preface",
    frames.CONTINUATION: "a header block was interrupted",
}
"""What is wrong where only this kind of frame may come next, and another does."""


class ConnectionFailed(Exception):  # noqa: N818 - reads as what happened
    """The peer broke the protocol; the connection is over.

    Raised only for what leaves the state of all streams in doubt, or is a flood: what RFC 9113
    calls a stream error ends its stream (`Connection._fail`).
    """

    def __init__(self, code: ErrorCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code


_BOUNDS: Mapping[int, tuple[int, int, ErrorCode]] = {
    # A client that sees a server allow itself pushes has to object (section 6.5.2).
    frames.ENABLE_PUSH: (0, 0, ErrorCode.PROTOCOL_ERROR),
    frames.INITIAL_WINDOW_SIZE: (0, frames.LARGEST_WINDOW, ErrorCode.FLOW_CONTROL_ERROR),
    frames.MAX_FRAME_SIZE: (frames.DEFAULT_FRAME_SIZE, 2**24 - 1, ErrorCode.PROTOCOL_ERROR),
}


def read_settings(payload: bytes) -> dict[int, int]:
    """The last value of each setting in a frame, none of them out of its bounds."""
    if len(payload) % 6:
        raise ConnectionFailed(ErrorCode.FRAME_SIZE_ERROR, "settings are malformed")
    if len(payload) > 6 * _MAX_SETTINGS:
        raise ConnectionFailed(ErrorCode.ENHANCE_YOUR_CALM, "too many settings")
    values: dict[int, int] = dict(struct.iter_unpack(">HL", payload))
    for number, (least, most, code) in _BOUNDS.items():
        if not least <= values.get(number, least) <= most:
            raise ConnectionFailed(code, f"setting {number} is out of range")
    return values


def read_goodbye(stream_id: int, payload: bytes) -> tuple[int, ErrorCode, bool]:
    """What a GOAWAY says: the last stream that is answered, why, and if pings were too many."""
    if stream_id:
        raise ConnectionFailed(ErrorCode.PROTOCOL_ERROR, "a goodbye on a stream")
    if len(payload) < 8:
        raise ConnectionFailed(ErrorCode.FRAME_SIZE_ERROR, "a goodbye is malformed")
    last = int.from_bytes(payload[:4], "big") & 0x7FFFFFFF
    return last, known_code(payload[4:8]), payload[4:] == _TOO_MANY_PINGS


def read_increment(payload: bytes) -> int:
    """By how much a WINDOW_UPDATE opens a window."""
    if len(payload) != 4:
        raise ConnectionFailed(ErrorCode.FRAME_SIZE_ERROR, "a window update has 4 bytes")
    return int.from_bytes(payload, "big") & 0x7FFFFFFF


def read_reset(payload: bytes) -> ErrorCode:
    """The code of a RST_STREAM."""
    if len(payload) != 4:
        raise ConnectionFailed(ErrorCode.FRAME_SIZE_ERROR, "a reset has 4 bytes")
    return known_code(payload)


def known_code(field: bytes) -> ErrorCode:
    """The error code in four bytes; one that is not known is an INTERNAL_ERROR (section 7)."""
    number = int.from_bytes(field, "big")
    return ErrorCode(number) if number <= ErrorCode.HTTP_1_1_REQUIRED else ErrorCode.INTERNAL_ERROR


def whole_reply(buffer: bytes, at: int, stream_id: int) -> tuple[int, int] | None:
    """Where the body ends and the trailers do, of a reply of which all follows its headers.

    None where it is not one plain DATA frame, and trailers in one frame.
    """
    last = len(buffer) - frames.HEAD_BYTES
    if at > last:
        return None
    # Both heads are read byte by byte: as machine code this takes a tenth of what `struct` does.
    if buffer[at + 3] != frames.DATA or buffer[at + 4]:
        return None
    its_id = buffer[at + 5] << 24 | buffer[at + 6] << 16 | buffer[at + 7] << 8 | buffer[at + 8]
    length = buffer[at] << 16 | buffer[at + 1] << 8 | buffer[at + 2]
    at = ends = at + frames.HEAD_BYTES + length
    if its_id != stream_id or ends > last:
        return None
    if buffer[at + 3] != frames.HEADERS or buffer[at + 4] != frames.WHOLE_HEADERS:
        return None
    its_id = buffer[at + 5] << 24 | buffer[at + 6] << 16 | buffer[at + 7] << 8 | buffer[at + 8]
    length = buffer[at] << 16 | buffer[at + 1] << 8 | buffer[at + 2]
    over = ends + frames.HEAD_BYTES + length
    return (ends, over) if its_id == stream_id and over <= len(buffer) else None


def check_ping(stream_id: int, payload: bytes) -> None:
    """A PING belongs to no stream and has eight bytes."""
    if stream_id:
        raise ConnectionFailed(ErrorCode.PROTOCOL_ERROR, "a ping on a stream")
    if len(payload) != 8:
        raise ConnectionFailed(ErrorCode.FRAME_SIZE_ERROR, "a ping has 8 bytes")


def unpadded(payload: bytes) -> bytes:
    """The payload of a padded frame without its padding."""
    if not payload or payload[0] >= len(payload):
        raise ConnectionFailed(ErrorCode.PROTOCOL_ERROR, "padding is longer than its frame")
    return payload[1 : len(payload) - payload[0]]


def fragment(flags: int, payload: bytes) -> bytes:
    """The part of a header block in a HEADERS frame: no padding, no priority."""
    if flags & frames.PADDED:
        payload = unpadded(payload)
    if flags & frames.PRIORITIZED:
        if len(payload) < 5:
            raise ConnectionFailed(ErrorCode.FRAME_SIZE_ERROR, "a priority has 5 bytes")
        payload = payload[5:]
    return payload


class PartialBlock:
    """A header block that comes in several frames."""

    __slots__ = ("_frames", "_limit_bytes", "ended", "stream_id", "text", "too_large")

    def __init__(self, stream_id: int, start: bytes, limit_bytes: int, *, ended: bool) -> None:
        self.stream_id = stream_id
        self.ended = ended
        self.text = bytearray(start)
        self.too_large = False
        """Whether it is over the limit; its text is dropped then."""
        self._limit_bytes = limit_bytes
        self._frames = 0

    def add(self, stream_id: int, payload: bytes) -> None:
        """Takes what a CONTINUATION brings."""
        if stream_id != self.stream_id:
            raise ConnectionFailed(ErrorCode.PROTOCOL_ERROR, "a header block was interrupted")
        self._frames += 1
        if self._frames > _MAX_CONTINUATIONS:
            # A block cannot be left before its end: only the connection can.
            raise ConnectionFailed(
                ErrorCode.ENHANCE_YOUR_CALM, "headers are too large, or too many idle frames"
            )
        if self.too_large:
            return
        self.text += payload
        if len(self.text) > self._limit_bytes:
            self.too_large = True
            self.text.clear()


class FloodGuard:
    """Ends the connection of a peer that keeps us busy with frames that bring nothing.

    `tried` falls with each useful frame that comes or goes, and is forgotten after a minute. It
    does not fall to nothing at once, or a flood could go on for ever beside a few calls.
    """

    __slots__ = ("_clock", "_since_s", "tried")

    def __init__(self, clock: Callable[[], float]) -> None:
        self.tried = 0
        self._clock = clock
        self._since_s = clock()

    def relax(self) -> None:
        """Takes note of a useful frame."""
        self.tried = max(0, self.tried - _IDLE_FRAMES_EARNED)

    def try_it(self, count: int = 1) -> None:
        """Takes note of one such frame, or of one that costs as much as `count`."""
        self.tried += count
        if self.tried > _MAX_IDLE_FRAMES:
            now_s = self._clock()
            if now_s - self._since_s < _IDLE_FRAMES_PERIOD_S:
                raise ConnectionFailed(ErrorCode.ENHANCE_YOUR_CALM, "too many idle frames")
            self.tried, self._since_s = 0, now_s
