"""Counts the values of a reply before it is written as JSON.

A few bytes on the wire can become much JSON: a message without fields takes two bytes, and all its
unset fields may be written. Writing a value takes up to a few microseconds, partly inside native
code that nothing can interrupt, and hundreds of bytes of memory. So `limits.response_values` bounds
the values of one message.
"""

from collections.abc import Callable

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.status import Code, StatusError
from gateway.transcoding.field_masks import Find
from gateway.transcoding.json.message_fields import parts_of
from gateway.transcoding.json.reading.well_known import has_own_form
from gateway.transcoding.wire import MalformedError, fields

Check = Callable[[bytes], None]
"""Rejects a message that has too many values."""

_F = FieldDescriptor
_FIXED_BYTES = {
    **dict.fromkeys((_F.TYPE_DOUBLE, _F.TYPE_FIXED64, _F.TYPE_SFIXED64), 8),
    **dict.fromkeys((_F.TYPE_FLOAT, _F.TYPE_FIXED32, _F.TYPE_SFIXED32), 4),
}
_UNPACKED = (_F.TYPE_STRING, _F.TYPE_BYTES, _F.TYPE_MESSAGE, _F.TYPE_GROUP)
_VARINT = 1
_CONTINUED = bytes(range(128, 256))
"""The bytes of a varint before its last one."""
_STEP_BYTES = 2
"""The least size of one step of a field mask's path; each step counts as a value."""


class _Shape:
    """The fields of one message type whose wire values count as more than one."""

    __slots__ = ("is_any", "is_mask", "messages", "packed", "weight")

    def __init__(self, message: Descriptor, *, unset: bool) -> None:
        name = message.full_name
        self.is_mask = name == "google.protobuf.FieldMask"
        self.is_any = name == "google.protobuf.Any"
        self.messages = {
            part.number: part.message_type
            for part in parts_of(message)
            if part.message_type is not None
        }
        self.packed = {
            part.number: _FIXED_BYTES.get(part.type, _VARINT)
            for part in parts_of(message)
            if part.is_repeated and part.type not in _UNPACKED
        }
        # A well-known type has a JSON form of its own, without its fields.
        all_written = unset and not has_own_form(message)
        written = sum(not field.has_presence for field in message.fields) if all_written else 0
        self.weight = 1 + written


class ReplyValues:
    """Makes the checks of message types; `find` resolves the types that an Any holds."""

    def __init__(self, find: Find, most: int, *, unset: bool) -> None:
        """`most` is the limit of values; `unset` is true if unset fields are written."""
        self._find = find
        self._most = most
        self._unset = unset
        self._shapes: dict[str, _Shape] = {}

    def check(self, message: Descriptor) -> Check:
        """Makes the check of one message type."""
        # A value takes at least a byte, or half a byte times the fields of an empty message.
        enough = self._most // self._density(message)

        def refuse_too_many(wire: bytes) -> None:
            if len(wire) > enough and self._has_too_many(message, wire):
                raise StatusError(
                    Code.RESOURCE_EXHAUSTED,
                    f"the reply has more than {self._most} values: ask for less, such as a page",
                    http_status=500,
                )

        return refuse_too_many

    def _density(self, message: Descriptor) -> int:
        """The largest number of values in a byte, without those inside an Any."""
        densest, seen, waiting = 1, {message.full_name}, [message]
        while waiting:
            shape = self._shape(waiting.pop())
            densest = max(densest, shape.weight // 2 + 1)
            for inner in shape.messages.values():
                if inner.full_name not in seen:
                    seen.add(inner.full_name)
                    waiting.append(inner)
        return densest * 4 if "google.protobuf.Any" in seen else densest

    def _has_too_many(self, message: Descriptor, wire: bytes) -> bool:
        """True if there are too many; false for a malformed message, which the writer rejects."""
        left = self._most - self._shape(message).weight
        waiting = [(message, wire)]
        while waiting and left >= 0:
            kind, content = waiting.pop()
            shape = self._shape(kind)
            held: Descriptor | None = None
            inside = b""
            try:
                for number, value in fields(content):
                    inner = shape.messages.get(number)
                    if inner is not None:
                        left -= self._shape(inner).weight
                        waiting.append((inner, value))
                    elif not shape.is_any:
                        left -= _count(shape, number, value)
                    elif number == 1:
                        held = self._find(value.rpartition(b"/")[2].decode(errors="replace"))
                    else:
                        inside = value
                    if left < 0:
                        return True
            except MalformedError:
                return False
            if held is not None:
                left -= self._shape(held).weight
                waiting.append((held, inside))
        return left < 0

    def _shape(self, message: Descriptor) -> _Shape:
        found = self._shapes.get(message.full_name)
        if found is None:
            found = self._shapes[message.full_name] = _Shape(message, unset=self._unset)
        return found


def _count(shape: _Shape, number: int, value: bytes) -> int:
    """The number of values in one field that is not a message."""
    size = shape.packed.get(number)
    if size == _VARINT:
        return len(value.translate(None, _CONTINUED))
    if size is not None:
        return len(value) // size
    return 1 + (len(value) // _STEP_BYTES if shape.is_mask else 0)
