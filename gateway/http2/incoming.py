"""Checks and reads the payloads of the frames that a server sends (RFC 9113 section 6)."""

import struct
from collections.abc import Mapping
from typing import Final

from gateway.http2 import frames
from gateway.http2.frames import HEAD_BYTES, ErrorCode

_MAX_CONTINUATIONS: Final = 1024
"""The most frames that continue one block. Bytes over the limit are dropped as they come, so this
bounds how long a block may hold up its connection: at 16 KiB a frame, for 16 MiB."""
_MAX_SETTINGS: Final = 32
"""The most entries of one SETTINGS frame; RFC 9113 and its extensions define about ten."""
# How gRPC servers object to keepalive that is too eager (gRFC A8).
_TOO_MANY_PINGS: Final = ErrorCode.ENHANCE_YOUR_CALM.to_bytes(4, "big") + b"too_many_pings"

MISSING: Mapping[int, str] = {
    frames.SETTINGS: "no HTTP/2 server preface",
    frames.CONTINUATION: "a header block was interrupted",
}
"""The error if only this kind of frame may come next, and another does."""


class ConnectionFailed(Exception):  # noqa: N818 - reads as what happened
    """The peer broke the protocol; the connection is over.

    Raised only if the state of all streams is in doubt, or for a flood: a stream error of RFC 9113
    ends its stream (`Connection._fail`).
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


def read_goaway(stream_id: int, payload: bytes) -> tuple[int, ErrorCode, bool]:
    """Reads a GOAWAY: the last stream that is answered, the reason, and if pings were too many."""
    if stream_id:
        raise ConnectionFailed(ErrorCode.PROTOCOL_ERROR, "a GOAWAY on a stream")
    if len(payload) < 8:
        raise ConnectionFailed(ErrorCode.FRAME_SIZE_ERROR, "a GOAWAY is malformed")
    last = int.from_bytes(payload[:4], "big") & 0x7FFFFFFF
    return last, known_code(payload[4:8]), payload[4:] == _TOO_MANY_PINGS


def read_reset(payload: bytes) -> ErrorCode:
    """The code of a RST_STREAM."""
    if len(payload) != 4:
        raise ConnectionFailed(ErrorCode.FRAME_SIZE_ERROR, "a reset has 4 bytes")
    return known_code(payload)


def known_code(field: bytes) -> ErrorCode:
    """The error code in four bytes; one that is not known is an INTERNAL_ERROR (section 7)."""
    number = int.from_bytes(field, "big")
    return ErrorCode(number) if number <= ErrorCode.HTTP_1_1_REQUIRED else ErrorCode.INTERNAL_ERROR


def next_whole(buffer: bytes, at: int, kind: int, flags: int, stream_id: bytes) -> int:
    """The end of the frame at `at`, if all of it has come and its head has these fields; else 0.

    `stream_id` is as it was sent.
    """
    start = at + HEAD_BYTES
    if start > len(buffer) or buffer[at + 3] != kind or buffer[at + 4] != flags:
        return 0
    if buffer[at + 5 : start] != stream_id:
        return 0
    # Read byte by byte: as machine code this takes a tenth of what `struct` does.
    over = start + (buffer[at] << 16 | buffer[at + 1] << 8 | buffer[at + 2])
    return over if over <= len(buffer) else 0


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
        """True if it is over the limit; its text is dropped then."""
        self._limit_bytes = limit_bytes
        self._frames = 0

    def add(self, stream_id: int, payload: bytes) -> None:
        """Adds the payload of a CONTINUATION."""
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
