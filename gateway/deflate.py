"""Compresses bytes by DEFLATE (RFC 1951).

ISA-L takes a fifth of the time of zlib, for a result that is a tenth larger. Decompression stays
zlib's, which is older and better known: it reads what clients send.
"""

import zlib
from typing import Final

from isal import isal_zlib

FASTEST: Final = 1
_HIGHEST_OF_ISAL: Final = 3
_GZIP_WINDOW: Final = 31


def gzipped(data: bytes, level: int) -> bytes:
    """Returns data in gzip (RFC 1952), by a level from 1 (fast) to 9 (small)."""
    if level <= _HIGHEST_OF_ISAL:
        return isal_zlib.compress(data, level, _GZIP_WINDOW)
    return zlib.compress(data, level, _GZIP_WINDOW)


def compressed(data: bytes) -> bytes:
    """Returns data in the format of zlib (RFC 1950), by the fastest level."""
    return isal_zlib.compress(data, FASTEST)
