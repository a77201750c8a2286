"""The possible content of message types, as far as it matters for the cost of their JSON."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.transcoding.json.message_fields import entry_fields, parts_of

_FREE: Final = {"google.protobuf.Value", "google.protobuf.Struct", "google.protobuf.ListValue"}
_ANY: Final = "google.protobuf.Any"
_LEAVES: Final = {
    *("google.protobuf.Timestamp", "google.protobuf.Duration", "google.protobuf.FieldMask"),
    *_FREE,
    _ANY,
}
"""Messages whose fields are not searched."""


@dataclass(slots=True)
class Contents:
    """The possible content of fields, at any depth."""

    messages: set[str] = field(default_factory=set)

    @property
    def has_free_json(self) -> bool:
        """True if a google.protobuf.Value is possible."""
        return not self.messages.isdisjoint(_FREE)

    @property
    def has_any(self) -> bool:
        """True if a google.protobuf.Any is possible."""
        return _ANY in self.messages


def message_contents(message: Descriptor) -> Contents:
    """Returns the possible content of a message, including itself."""
    return _contents(parts_of(message), Contents(messages={message.full_name}))


def field_contents(part: FieldDescriptor) -> Contents:
    """Returns the possible content of a field."""
    return _contents([part], Contents())


def _contents(fields: Iterable[FieldDescriptor], found: Contents) -> Contents:
    waiting = list(fields)
    while waiting:
        part = waiting.pop()
        entry = entry_fields(part)
        value = entry[1] if entry else part
        inner = value.message_type
        if inner is not None and inner.full_name not in found.messages:
            found.messages.add(inner.full_name)
            if inner.full_name not in _LEAVES:
                waiting += parts_of(inner)
    return found
