"""Secrets that the gateway makes: 256 random bits that scanners recognise and stores never see.

`gwt_` (access token), `gwr_` (refresh token) or `gwk_` (API key), then 43 characters of the secret
and 6 of a CRC-32 over all before them, in base 62. The prefix and the checksum let a scanner tell
a leaked one from other text without asking anybody, and let the gateway refuse a mistyped one
without asking its store.
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
    """A secret nobody can guess."""
    text = f"{prefix}_{_base62(secrets.randbits(_SECRET_BITS), SECRET_LENGTH)}"
    return text + _checksum(text)


def is_secret(text: str, prefix: str) -> bool:
    """Whether `text` can be a secret of this kind at all; says nothing of whether it is good."""
    return (
        text.startswith(f"{prefix}_")
        and _SHAPE.fullmatch(text) is not None
        and _checksum(text[:-CHECK_LENGTH]) == text[-CHECK_LENGTH:]
    )


def digest(text: str) -> bytes:
    """What a store keeps of a secret. No salt and no slow hash: 256 random bits need neither."""
    return sha256(text.encode()).digest()


def _checksum(text: str) -> str:
    return _base62(crc32(text.encode()), CHECK_LENGTH)


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
