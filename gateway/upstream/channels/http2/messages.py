"""Frames gRPC messages for a stream: a flag, the length, the message, compressed or not."""

from typing import Final

from gateway import deflate

_LEAST_BYTES: Final = 1024
"""Below this size, gzip costs more than it saves."""


def plain(message: bytes) -> tuple[bytes, bytes]:
    """Returns the prefix of a message that is sent as it is, and the message."""
    return len(message).to_bytes(5, "big"), message


def gzipped(message: bytes) -> tuple[bytes, bytes]:
    """Returns the prefix of a message, and the message as it is sent: compressed if that pays."""
    if len(message) < _LEAST_BYTES:
        return plain(message)
    packed = deflate.gzipped(message, deflate.FASTEST)
    # gRPC compression.md: a message may be sent as it is on a stream that could compress it.
    if len(packed) >= len(message):
        return plain(message)
    return b"\x01" + len(packed).to_bytes(4, "big"), packed
