"""Finds the reason why a message has no JSON form, for the log and the client.

Slow and simple, on google's message classes: it runs only after writing failed.
"""

import math
from collections.abc import Callable, Iterator

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from gateway.status import UnreadableReplyError
from gateway.transcoding.field_masks import MAX_PATHS, Find, spell_path
from gateway.transcoding.json.type_copies import entry_fields
from gateway.transcoding.text_forms import shown
from gateway.transcoding.wire import MAX_DEPTH

_TIMESTAMP_S = range(-62_135_596_800, 253_402_300_800)  # years 1 to 9999
_DURATION_S = range(-315_576_000_000, 315_576_000_001)


def json_failure(
    message: Descriptor, wire: bytes, find: Find, why: str | None = None
) -> UnreadableReplyError:
    """Makes the error for a reply that cannot be written as JSON; `why` is the reason, if known."""
    name = message.full_name
    try:
        decoded = GetMessageClass(message).FromString(wire)
    except DecodeError:
        return UnreadableReplyError(f"the back end's {name} is malformed")
    if why is None:
        why = _first_flaw(decoded, find)
        why = why or "it is nested too deep, or has text that is not UTF-8"
    return UnreadableReplyError(f"{name} cannot be shown as JSON: {why}")


def _first_flaw(message: Message, find: Find) -> str | None:
    """The reason for the first invalid message, of this one and those in it, or None.

    It does not recurse, and keeps only the content of an Any: nested Anys are large.
    """
    current: Message | None = message
    depth = 0
    above: list[tuple[Iterator[Message], int]] = []
    while current is not None:
        name = current.DESCRIPTOR.full_name
        if depth > MAX_DEPTH:
            return f"it is nested deeper than {MAX_DEPTH} levels"
        flaw = _FLAWS[name](current) if name in _FLAWS else None
        if flaw:
            return f"{name} {flaw}"
        if name == "google.protobuf.Any":
            held = _held(current, find)
            if isinstance(held, str):
                return held
            if held is not None:
                current, depth = held, depth + 1
                continue
        above.append((_messages_in(current), depth + 1))
        current = None
        while current is None and above:
            children, depth = above[-1]
            current = next(children, None)
            if current is None:
                above.pop()
    return None


def _messages_in(message: Message) -> Iterator[Message]:
    for field, value in message.ListFields():
        entry = entry_fields(field)
        if entry is not None:
            if entry[1].message_type is not None:
                yield from value.values()
        elif field.message_type is not None:
            yield from value if field.is_repeated else (value,)


def _held(message: Message, find: Find) -> Message | str | None:
    """Returns the message in an Any, the reason why it is invalid, or None if it is empty."""
    url, value = message.type_url, message.value  # type: ignore[attr-defined] # an Any's fields
    if not url and not value:
        return None
    held = find(url.rpartition("/")[2])
    if held is None:
        return f"google.protobuf.Any holds the unknown type {shown(url)}"
    try:
        return GetMessageClass(held).FromString(value)
    except DecodeError:
        return f"google.protobuf.Any holds a malformed {held.full_name}"


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
        return "has no value"
    finite = kind != "number_value" or math.isfinite(message.number_value)  # type: ignore[attr-defined]
    return None if finite else "holds a number that is not finite"


def _mask(message: Message) -> str | None:
    if len(message.paths) > MAX_PATHS:  # type: ignore[attr-defined]
        return f"has more than {MAX_PATHS} paths, and JSON cannot spell some as they are"
    for path in message.paths:  # type: ignore[attr-defined]
        if spell_path(path) is None:
            return f"holds the path {shown(path)}, which lowerCamelCase cannot spell"
    return None


_FLAWS: dict[str, Callable[[Message], str | None]] = {
    "google.protobuf.Timestamp": _timestamp,
    "google.protobuf.Duration": _duration,
    "google.protobuf.Value": _value,
    "google.protobuf.FieldMask": _mask,
}
