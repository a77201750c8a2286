"""The key of a call for consistent hashing: made of the caller, a header, a cookie or a field."""

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from multidict import MultiMapping
from xxhash import xxh64_intdigest

from gateway.call import Call
from gateway.config.hashing import HashBy, HashSource
from gateway.schema.catalog import ByMethod, Method
from gateway.transcoding.wire import (
    FIXED32,
    FIXED64,
    LENGTH,
    VARINT,
    MalformedError,
    read_size,
    read_tag,
    skip,
)

KeyOf = Callable[[Call], int]
"""The key of a call, of 64 bits."""
_Part = Callable[[Call], bytes | None]
"""One part of a call; None if it has none."""

_MASK: Final = (1 << 64) - 1
MOST_MESSAGE_BYTES: Final = 16 * 1024
"""Larger messages are not searched for a field: that would delay other clients."""
_MESSAGES: Final = (FieldDescriptor.TYPE_MESSAGE, FieldDescriptor.TYPE_GROUP)


def key_of(sources: Sequence[HashSource], random: Random) -> KeyOf:
    """The function that makes the key of a call (gRFC A42, "Hash policies").

    The hashes of the parts that are there are combined in order; with none, the key is random
    (gRFC A76). A part is there if it is not empty.
    """
    parts = [(_part(one), one.terminal) for one in sources]

    def key(call: Call) -> int:
        combined: int | None = None
        for part, terminal in parts:
            text = part(call)
            if text:
                made = xxh64_intdigest(text)
                if combined is None:
                    combined = made
                else:
                    combined = (combined << 1 & _MASK | combined >> 63) ^ made
                if terminal:
                    break
        return random.getrandbits(64) if combined is None else combined

    return key


def _part(source: HashSource) -> _Part:
    match source.by:
        case HashBy.PRINCIPAL:
            return _principal
        case HashBy.ADDRESS:
            return lambda call: call.peer.encode()
        case HashBy.HEADER:
            return lambda call: header_value(call.headers, source.name)
        case HashBy.COOKIE:
            return lambda call: cookie_value(call.headers, source.name)
        case HashBy.FIELD:
            return _Field(source.name)


def _principal(call: Call) -> bytes | None:
    return None if call.principal is None else call.principal.name.encode()


def header_value(headers: Mapping[str, str], name: str) -> bytes | None:
    """The values of a header, joined as one list (gRFC A76); None or empty if it is not there."""
    if isinstance(headers, MultiMapping):
        return ",".join(headers.getall(name, ())).encode("utf-8", "surrogateescape")
    value = headers.get(name)
    return None if value is None else value.encode("utf-8", "surrogateescape")


def cookie_value(headers: Mapping[str, str], name: str) -> bytes | None:
    """The value of a cookie (RFC 6265 section 4.2.1); None if it is not there."""
    lines = headers.getall("cookie", ()) if isinstance(headers, MultiMapping) else ()
    for line in lines or (headers.get("cookie", ""),):
        for pair in line.split(";"):
            found, _, value = pair.partition("=")
            if found.strip() == name:
                return value.strip().strip('"').encode("utf-8", "surrogateescape")
    return None


class _Field:
    """A singular field of request messages, by the names of the path to it."""

    def __init__(self, path: str) -> None:
        names = path.split(".")
        self._numbers = ByMethod(lambda method: _numbers(method, names))

    def __call__(self, call: Call) -> bytes | None:
        """The bytes of the field's value in the one request message of a call."""
        if call.messages is not None or len(call.decoded) > MOST_MESSAGE_BYTES:
            return None
        numbers = self._numbers.of(call.method)
        if not numbers:
            return None
        try:
            return _value(call.decoded, numbers)
        except MalformedError:
            return None


def _numbers(method: Method, names: Sequence[str]) -> tuple[int, ...]:
    """The field numbers of a path in the request type; none if the type has no such field."""
    message: Descriptor | None = method.input
    numbers: list[int] = []
    for depth, name in enumerate(names):
        field = None if message is None else message.fields_by_name.get(name)
        is_last = depth == len(names) - 1
        if field is None or field.is_repeated or (field.type in _MESSAGES) is is_last:
            return ()
        numbers.append(field.number)
        message = field.message_type
    return tuple(numbers)


def _value(wire: bytes, numbers: Sequence[int]) -> bytes | None:
    """The last value of a field, since messages that are encoded twice are merged."""
    found: bytes | None = None
    at, end = 0, len(wire)
    while at < end:
        tag, start = read_tag(wire, at, end)
        if tag >> 3 != numbers[0] or tag & 7 not in {VARINT, FIXED64, LENGTH, FIXED32}:
            at = skip(wire, start, end, tag)
            continue
        if tag & 7 == LENGTH:
            start, at = read_size(wire, start, end)
        else:
            at = skip(wire, start, end, tag)
        value = wire[start:at]
        if len(numbers) == 1:
            found = value
        elif tag & 7 == LENGTH:
            inner = _value(value, numbers[1:])
            found = found if inner is None else inner
    return found
