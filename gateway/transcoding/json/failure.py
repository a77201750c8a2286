"""Why a message has no JSON form: said for the log and the caller when writing it failed.

Slow and plain: it runs only after the fact, on google's own message classes.
"""

import math
from collections.abc import Callable, Iterator

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from gateway.status import Code, StatusError
from gateway.transcoding.json.type_copies import entry_fields
from gateway.transcoding.text_values import shown

Find = Callable[[str], Descriptor | None]

_TIMESTAMP_S = range(-62_135_596_800, 253_402_300_800)  # years 1 to 9999
_DURATION_S = range(-315_576_000_000, 315_576_000_001)


def unprintable(message: Descriptor, wire: bytes, find: Find) -> StatusError:
    """The error for a back end's message that cannot be written as JSON."""
    name = message.full_name
    try:
        decoded = GetMessageClass(message).FromString(wire)
    except DecodeError:
        return StatusError(Code.INTERNAL, f"the back end's {name} is malformed")
    why = next(_flaws(decoded, find), "it is nested too deep, or has text that is not UTF-8")
    return StatusError(Code.INTERNAL, f"{name} cannot be shown as JSON: {why}")


def _flaws(message: Message, find: Find) -> Iterator[str]:
    name = message.DESCRIPTOR.full_name
    flaw = _FLAWS[name](message) if name in _FLAWS else None
    if flaw:
        yield f"{name} {flaw}"
    if name == "google.protobuf.Any":
        yield from _any_flaws(message, find)
    for field, value in message.ListFields():
        entry = entry_fields(field)
        if entry is not None:
            if entry[1].message_type is not None:
                for item in value.values():
                    yield from _flaws(item, find)
        elif field.message_type is not None:
            for item in value if field.is_repeated else (value,):
                yield from _flaws(item, find)


def _any_flaws(message: Message, find: Find) -> Iterator[str]:
    url, value = message.type_url, message.value  # type: ignore[attr-defined] # an Any's fields
    if not url and not value:
        return
    held = find(url.rpartition("/")[2])
    if held is None:
        yield f"google.protobuf.Any holds the unknown type {shown(url)}"
        return
    try:
        decoded = GetMessageClass(held).FromString(value)
    except DecodeError:
        yield f"google.protobuf.Any holds a malformed {held.full_name}"
    else:
        yield from _flaws(decoded, find)


def _timestamp(message: Message) -> str | None:
    valid = message.seconds in _TIMESTAMP_S and 0 <= message.nanos < 1_000_000_000  # type: ignore[attr-defined]
    return None if valid else "is outside the years 1 to 9999"


def _duration(message: Message) -> str | None:
    seconds, nanos = message.seconds, message.nanos  # type: ignore[attr-defined]
    valid = seconds in _DURATION_S and abs(nanos) < 1_000_000_000 and seconds * nanos >= 0
    return None if valid else "is out of range or has parts of different signs"


def _value(message: Message) -> str | None:
    kind = message.WhichOneof("kind")
    if kind is None:
        return "holds nothing"
    finite = kind != "number_value" or math.isfinite(message.number_value)  # type: ignore[attr-defined]
    return None if finite else "holds a number that is not finite"


def _mask(message: Message) -> str | None:
    for path in message.paths:  # type: ignore[attr-defined]
        camel = "".join(
            part if i == 0 else part[:1].upper() + part[1:]
            for i, part in enumerate(path.split("_"))
        )
        snake = "".join(f"_{c.lower()}" if "A" <= c <= "Z" else c for c in camel)
        if snake != path:
            return f"holds the path {shown(path)}, which lowerCamelCase cannot spell"
    return None


_FLAWS: dict[str, Callable[[Message], str | None]] = {
    "google.protobuf.Timestamp": _timestamp,
    "google.protobuf.Duration": _duration,
    "google.protobuf.Value": _value,
    "google.protobuf.FieldMask": _mask,
}
