"""HTTP/2 frames: their numbers, and builders for those a client sends (RFC 9113 section 6)."""

import struct
from enum import IntEnum
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA: Final = 0
HEADERS: Final = 1
PRIORITY: Final = 2
RST_STREAM: Final = 3
SETTINGS: Final = 4
PUSH_PROMISE: Final = 5
PING: Final = 6
GOAWAY: Final = 7
WINDOW_UPDATE: Final = 8
CONTINUATION: Final = 9

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
PRIORITIZED: Final = 0x20
WHOLE_HEADERS: Final = END_HEADERS | END_STREAM

HEADER_TABLE_SIZE: Final = 1
ENABLE_PUSH: Final = 2
MAX_CONCURRENT_STREAMS: Final = 3
INITIAL_WINDOW_SIZE: Final = 4
MAX_FRAME_SIZE: Final = 5
MAX_HEADER_LIST_SIZE: Final = 6

HEAD_BYTES: Final = 9
LARGEST_WINDOW: Final = 2**31 - 1
LAST_STREAM_ID: Final = 2**31 - 1
DEFAULT_WINDOW: Final = 65_535
DEFAULT_FRAME_SIZE: Final = 16_384


class ErrorCode(IntEnum):
    """The reason why a stream or a connection ended (RFC 9113 section 7)."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11
    INADEQUATE_SECURITY = 12
    HTTP_1_1_REQUIRED = 13


def head(length: int, kind: int, flags: int, stream_id: int) -> bytes:
    """The nine bytes before a frame's payload."""
    # As one number: as machine code that takes a third of what `struct` does.
    return (length << 48 | kind << 40 | flags << 32 | stream_id).to_bytes(HEAD_BYTES, "big")


def settings(values: dict[int, int]) -> bytes:
    """A SETTINGS frame."""
    payload = b"".join([struct.pack(">HL", number, value) for number, value in values.items()])
    return head(len(payload), SETTINGS, 0, 0) + payload


SETTINGS_ACK: Final = head(0, SETTINGS, ACK, 0)
OWN_PING: Final = head(8, PING, 0, 0) + bytes(8)
PING_ACK_HEAD: Final = head(8, PING, ACK, 0)
"""The start of the answer to a PING, before its eight bytes."""


def window_update(stream_id: int, increment: int) -> bytes:
    """A WINDOW_UPDATE frame; stream 0 is the connection."""
    return head(4, WINDOW_UPDATE, 0, stream_id) + increment.to_bytes(4, "big")


def rst_stream(stream_id: int, code: int) -> bytes:
    """A RST_STREAM frame."""
    return head(4, RST_STREAM, 0, stream_id) + code.to_bytes(4, "big")


def goaway(code: int) -> bytes:
    """A GOAWAY frame of a client, which has accepted no streams of the server's."""
    return head(8, GOAWAY, 0, 0) + bytes(4) + code.to_bytes(4, "big")


def headers(stream_id: int, block: bytes) -> bytes:
    """A HEADERS frame and its CONTINUATIONs, for a block too large for one frame."""
    size = DEFAULT_FRAME_SIZE
    pieces = [block[i : i + size] for i in range(0, len(block), size)]
    frames = [head(len(pieces[0]), HEADERS, 0, stream_id) + pieces[0]]
    frames += [head(len(piece), CONTINUATION, 0, stream_id) + piece for piece in pieces[1:-1]]
    frames.append(head(len(pieces[-1]), CONTINUATION, END_HEADERS, stream_id) + pieces[-1])
    return b"".join(frames)


def greeting(stream_window: int, connection_window: int, header_bytes: int) -> bytes:
    """The start of a client's connection: preface, settings, and the larger window."""
    ours = settings(
        {
            # Size 0: no block that we receive depends on another.
            HEADER_TABLE_SIZE: 0,
            ENABLE_PUSH: 0,
            INITIAL_WINDOW_SIZE: stream_window,
            MAX_HEADER_LIST_SIZE: header_bytes,
        }
    )
    return PREFACE + ours + window_update(0, connection_window - DEFAULT_WINDOW)
