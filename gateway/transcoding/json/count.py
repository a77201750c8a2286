"""Counts the values of a JSON text before it is parsed.

A value of a few bytes takes more time than as many bytes of a text, and keeps a worker thread busy.
"""

from typing import Final

from gateway.status import Code, StatusError

_PIECE_BYTES: Final = 64 * 1024
"""The number of bytes that are searched at once, which limits the memory that this needs."""


def refuse_too_many_values(body: bytes, most: int) -> None:
    """Rejects a text of more than `most` values.

    Raises:
        StatusError: RESOURCE_EXHAUSTED, with HTTP status 413.
    """
    # Each value but the first follows a comma or a bracket. Most texts have few of them, even if
    # those in strings are counted as well.
    if _separators(body) >= most and _separators_outside_strings(body) >= most:
        raise StatusError(
            Code.RESOURCE_EXHAUSTED,
            f"the JSON has more than {most} values: send it in several requests",
            http_status=413,
        )


def _separators(text: bytes) -> int:
    return text.count(b",") + text.count(b"[") + text.count(b"{")


def _separators_outside_strings(body: bytes) -> int:
    text = body.replace(b"\\\\", b"").replace(b'\\"', b"")  # what is left of quotes are the ends
    count = outside = 0
    for start in range(0, len(text), _PIECE_BYTES):
        parts = text[start : start + _PIECE_BYTES].split(b'"')
        count += _separators(b'"'.join(parts[outside::2]))
        outside = (outside + len(parts) - 1) % 2
    return count
