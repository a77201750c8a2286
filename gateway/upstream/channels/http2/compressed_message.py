"""A message that came compressed, and has not been decompressed yet.

It has a module of its own because mypyc does not compile a class derived from a built-in type.
"""

import zlib
from typing import Any, Final

from gateway.upstream.channels.failures import of_breach, too_large

_GZIP_WINDOW: Final = 31


class CompressedMessage(bytes):
    """A message as it came: compressed."""

    share: Any = None
    """Its share of the memory for large messages."""


def inflated(message: bytes, encoding: str, limit_bytes: int, upstream: str) -> bytes:
    """A message of this encoding, decompressed up to the limit.

    Raises:
        StatusError: it is too large, or not compressed as the reply's headers state.
    """
    if encoding != "gzip":
        raise of_breach(upstream)
    inflater = zlib.decompressobj(_GZIP_WINDOW)
    try:
        text = inflater.decompress(message, limit_bytes + 1)
    except zlib.error:
        raise of_breach(upstream) from None
    if len(text) > limit_bytes:
        raise too_large(limit_bytes)
    if not inflater.eof or inflater.unused_data:
        raise of_breach(upstream)
    return text
