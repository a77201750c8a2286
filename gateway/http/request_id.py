"""Request ids: the client's id if it is well-formed, otherwise a new one."""

import secrets
from typing import Final

_MOST_CHARACTERS: Final = 128
# Letters, digits, and `.`, `_`, `-` stay; every other byte, also NUL, becomes another one. A
# translation costs less than a pattern.
_CHARACTERS: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"
_WELL_FORMED: Final = bytes([b if b in _CHARACTERS else (0 if b else 1) for b in range(256)])


def is_well_formed(value: bytes) -> bool:
    """True if a value, which is not empty, is kept as the id of a request."""
    return len(value) <= _MOST_CHARACTERS and value.translate(_WELL_FORMED) == value


class RequestIds:
    """Creates request ids: a random prefix for each process, and a counter."""

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(8)
        self._number = 0

    def choose(self, offered: str | None) -> str:
        """Returns `offered` if it is well-formed, otherwise a new id."""
        if offered and offered.isascii() and is_well_formed(offered.encode()):
            return offered
        self._number += 1
        return f"{self._prefix}-{self._number}"
