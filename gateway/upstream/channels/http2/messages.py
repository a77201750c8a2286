"""Frames gRPC messages for a stream: a flag, the length, the message, compressed or not."""

import zlib
from collections.abc import Callable, Mapping
from typing import Final

from gateway.config.upstreams import RequestCompression

Frame = Callable[[bytes], tuple[bytes, bytes]]
"""Returns a message as it is sent, after the prefix that it is sent with."""

_GZIP: Final = 31
_LEAST_BYTES: Final = 1024
"""Below this size, gzip costs more than it saves."""
_FASTEST: Final = 1


def _plain(message: bytes) -> tuple[bytes, bytes]:
    return len(message).to_bytes(5, "big"), message


def _gzipped(message: bytes) -> tuple[bytes, bytes]:
    if len(message) < _LEAST_BYTES:
        return _plain(message)
    packed = zlib.compress(message, _FASTEST, _GZIP)
    # gRPC compression.md: a message may be sent as it is on a stream that could compress it.
    if len(packed) >= len(message):
        return _plain(message)
    return b"\x01" + len(packed).to_bytes(4, "big"), packed


FRAMES: Mapping[RequestCompression, Frame] = {
    RequestCompression.NONE: _plain,
    RequestCompression.GZIP: _gzipped,
}
"""Frames messages as each setting asks."""
