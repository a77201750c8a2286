"""Generates secrets: 256 random bits in a form that scanners recognise; stores keep only digests.

A secret is `gwt_` (access token), `gwr_` (refresh token) or `gwk_` (API key), then 43 characters of
random bits and 6 of a CRC-32 over all before them, in base 62. By prefix and checksum a scanner
finds a leaked secret without a lookup, and the gateway rejects a mistyped one without asking its
store.
"""

import re
import secrets
from hashlib import sha256
from zlib import crc32

from gateway.config.grammar import CHECK_LENGTH, SECRET, SECRET_LENGTH

ACCESS, REFRESH, API_KEY = "gwt", "gwr", "gwk"

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SECRET_BITS = 256
_SHAPE = re.compile(SECRET)


def new_secret(prefix: str) -> str:
    """Returns a new random secret."""
    text = f"{prefix}_{_base62(secrets.randbits(_SECRET_BITS), SECRET_LENGTH)}"
    return text + _checksum(text)


def is_secret(text: str, prefix: str) -> bool:
    """True if `text` has the form of a secret of this kind; it may still be invalid."""
    return (
        text.startswith(f"{prefix}_")
        and _SHAPE.fullmatch(text) is not None
        and _checksum(text[:-CHECK_LENGTH]) == text[-CHECK_LENGTH:]
    )


def begins_as_secret(text: str) -> bool:
    """True if `text` begins as a secret of any kind: it may be one that is cut short."""
    return text.startswith((f"{ACCESS}_", f"{REFRESH}_", f"{API_KEY}_"))


def digest(text: str) -> bytes:
    """The digest that stores keep. No salt and no slow hash: 256 random bits need neither."""
    return sha256(text.encode()).digest()


def _checksum(text: str) -> str:
    return _base62(crc32(text.encode()), CHECK_LENGTH)


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
