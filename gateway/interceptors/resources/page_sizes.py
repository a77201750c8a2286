"""Cuts the page size that a client asks for (AIP-158: a service may return fewer items).

An unset or negative size is the back end's to judge.
"""

from collections.abc import Awaitable

from gateway.call import Call, Handler, Reply
from gateway.transcoding.wire import last_value, tag, varint

_FIRST_NEGATIVE = 1 << 31
"""The result of `_int32` for the smallest number."""


class CutPageSize:
    """Replaces a larger `page_size` of one method by the largest that is allowed."""

    def __init__(self, number: int, most: int) -> None:
        """Takes the field's number."""
        self._number = number
        self._most = most
        self._cut = tag(number, 0) + varint(most)

    def __call__(self, call: Call, proceed: Handler) -> Awaitable[Reply]:
        """Proceeds with the page size that is allowed."""
        value = last_value(call.decoded, (self._number,))
        if value is not None and self._most < _int32(value) < _FIRST_NEGATIVE:
            call.merge(self._cut)
        return proceed(call)


def _int32(raw: bytes) -> int:
    """The lowest 32 bits of a varint; those of a negative number are above all others."""
    value = sum([(byte & 0x7F) << 7 * place for place, byte in enumerate(raw)])
    return value & 0xFFFFFFFF
