"""Parses a long JSON string piece by piece: no call of the parser holds the interpreter for long.

A piece is a string of its own, so it must not end within an escape, nor between the escapes of a
surrogate pair. The fault and its place are those that the parser finds in the whole string.
"""

import re
import time
from codecs import utf_8_decode
from collections.abc import Callable
from json import JSONDecodeError, decoder
from typing import Final

_scan: Final[Callable[[str, int, bool], tuple[str, int]]] = decoder.scanstring  # type: ignore[attr-defined]
"""Parses a string from behind its opening quote; what is no string is a JSONDecodeError."""
PIECE_BYTES: Final = 64 * 1024
_ESCAPE_BYTES: Final = 6
_HIGH: Final = re.compile(rb"\\u[dD][89abAB]..", re.DOTALL)
"""The escape of the first half of a surrogate pair."""
_BACKSLASH: Final = b"\\"


def long_string(
    body: bytes, start: int, piece_bytes: int = PIECE_BYTES
) -> tuple[str | bytes | None, int]:
    """Parses the string of JSON in UTF-8 whose opening quote is at an offset.

    Returns its text and its end; None and the offset of the fault if it has one. Text that is not
    ASCII stays bytes, in UTF-8: with a single emoji, a str takes four bytes for each character.
    """
    parts: list[bytes] = []
    at = start + 1
    while True:
        piece = body[at : at + piece_bytes]
        is_last = at + len(piece) == len(body)
        if not is_last:
            cut = _cut(piece)
            piece = piece[:cut]
        text, used = utf_8_decode(piece, "strict", is_last)
        del piece  # its memory can serve for the text
        try:
            # With a quote, what is before the end of the string is a string.
            part, end = _scan(text if is_last else f'{text}"', 0, True)  # noqa: FBT003
        except JSONDecodeError as error:
            # A string without an end is at fault at its start, which is before the piece.
            return None, start if error.pos < 0 else at + _size(text, error.pos)
        # Half of a surrogate pair is refused later, where it is in the body.
        parts.append(part.encode("utf-8", "surrogatepass"))
        if end <= len(text):
            found = b"".join(parts)
            parts.clear()
            return found.decode() if found.isascii() else found, at + _size(text, end)
        at += used
        time.sleep(0)  # lets other threads run: machine code keeps the interpreter lock


def _size(text: str, end: int) -> int:
    """Returns the number of bytes of the first characters of a text."""
    return end if text.isascii() else len(text[:end].encode())


def _cut(piece: bytes) -> int:
    """Returns the length of a piece without the escape that may be cut off by its end."""
    last = piece.rfind(_BACKSLASH, -_ESCAPE_BYTES)
    if last < 0 or not _begins_escape(piece, last):
        last = len(piece)
    high = last - _ESCAPE_BYTES
    if high >= 0 and _HIGH.match(piece, high) and _begins_escape(piece, high):
        return high
    return last


def _begins_escape(piece: bytes, at: int) -> bool:
    """True if the backslash at `at` begins an escape, and is not the second one of `\\\\`."""
    until = piece[: at + 1]
    return (len(until) - len(until.rstrip(_BACKSLASH))) % 2 == 1
