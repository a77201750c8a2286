"""Counts the values of a JSON text before it is parsed.

A parser in native code cannot be interrupted. It takes up to a microsecond for each value, even if
the value has few bytes, and several times that for some well-known types: these count as several
values.
"""

from collections.abc import Callable
from typing import Final

from gateway.status import Code, StatusError
from gateway.transcoding.json.contents import Contents

Check = Callable[[bytes], None]
"""Rejects a text that has too many values."""

_PIECE_BYTES: Final = 64 * 1024
"""The number of bytes that are searched at once, which limits the memory that this needs."""
# The weights, as measured: a value takes 0.2 to 1.3 microseconds.
_ANY: Final = 24
"""An Any takes 17 to 30 microseconds: its content is written, and read again."""
_TIMESTAMP: Final = 4
"""A Timestamp takes 4 microseconds."""
_DURATION: Final = 2
"""A Duration takes 2 microseconds."""
_FREE_TIMES: Final = 4
"""A member of a Struct takes 3 microseconds."""


def value_count_check(held: Contents, most: int) -> Check:
    """Makes the check of texts for a type with these contents: they may count `most` values.

    The check raises a `StatusError`: RESOURCE_EXHAUSTED, with HTTP status 413.
    """
    has_any, is_free = held.has_any, held.has_free_json
    has_timestamps = "google.protobuf.Timestamp" in held.messages
    has_durations = "google.protobuf.Duration" in held.messages
    is_weighed = has_any or is_free or has_timestamps or has_durations
    # A value has two characters at least, with what separates it from the next; an Any has 16.
    enough = 2 * most // (_FREE_TIMES if is_weighed else 1)

    def weighed(body: bytes, values: int) -> int:
        """The count of a text with so many values. Escaped text may be anything."""
        anys = min(values, body.count(b'@type"') + body.count(b"\\u")) if has_any else 0
        count = values * (_FREE_TIMES if is_free or anys else 1) + anys * _ANY
        if has_timestamps or anys:  # RFC 3339 section 5.6: a T is between date and time
            count += _TIMESTAMP * min(values, body.count(b"T") + body.count(b"\\"))
        if has_durations:  # ProtoJSON: an s is at the end
            count += _DURATION * min(values, body.count(b's"') + body.count(b"\\"))
        return count

    def refuse_too_many_values(body: bytes) -> None:
        if len(body) <= enough:
            return
        # Each value but the first follows a comma or a bracket. Most texts have few of them, even
        # if those in strings are counted as well.
        if (
            weighed(body, _separators(body)) >= most
            and weighed(body, _separators_outside_strings(body)) >= most
        ):
            raise StatusError(
                Code.RESOURCE_EXHAUSTED,
                f"the JSON has more than {most} values{_WEIGHTS if is_weighed else ''}:"
                " send it in several requests",
                http_status=413,
            )

    return refuse_too_many_values


_WEIGHTS: Final = (
    f" (a google.protobuf.Any counts as {_ANY}, a Timestamp as {1 + _TIMESTAMP},"
    f" a Duration as {1 + _DURATION}, a member of a Struct as {_FREE_TIMES})"
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
