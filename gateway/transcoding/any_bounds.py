"""Limits the depth and size of messages inside google.protobuf.Any before they are printed.

The JSON library keeps each Any's content in memory together with the bytes of the message around
it. Nested Anys therefore cost their size once per level, and a reply of 4 MB up to a hundred times
that. So the content of all Anys together is limited by the size of the message.
"""

from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from gateway.transcoding.field_masks import Find
from gateway.transcoding.json.type_copies import entry_fields, parts_of
from gateway.transcoding.wire import MAX_DEPTH

_ANY = "google.protobuf.Any"
_FREE_BYTES = 1 << 20
_TIMES = 3
"""The limit for the content of all Anys in a message: this many times the message, plus 1 MiB."""


class AnyBounds:
    """Finds messages whose Anys are nested too deep, or hold too much; `find` resolves types."""

    def __init__(self, find: Find) -> None:
        self._find = find
        self._holders: dict[str, bool] = {_ANY: True}
        self._fields: dict[str, list[FieldDescriptor]] = {}

    def flaw(self, message: Descriptor, wire: bytes) -> str | None:
        """The reason why the Anys in a message are not accepted, or None; linear in its size."""
        if MAX_DEPTH * len(wire) <= _FREE_BYTES:
            return None  # the usual case: the content is small, and printing limits its depth
        left = _TIMES * len(wire) + _FREE_BYTES
        waiting = [(message, wire, 0)]
        while waiting:
            kind, content, depth = waiting.pop()
            try:
                decoded = GetMessageClass(kind).FromString(content)
            except DecodeError:
                continue  # printing fails too, with a better message
            for holder, level in self._anys(decoded, depth):
                if level > MAX_DEPTH:
                    return f"it is nested deeper than {MAX_DEPTH} levels"
                value = holder.value
                left -= len(value)
                if left < 0:
                    return "the nested google.protobuf.Any together are far larger than the message"
                held = self._find(holder.type_url.rpartition("/")[2])
                if held is not None and self._can_hold_any(held):
                    waiting.append((held, value, level + 1))
        return None

    def _anys(self, message: Any, depth: int) -> Iterator[tuple[Any, int]]:
        """Yields each Any in a message, without entering it, and its depth."""
        waiting = [(message, depth)]
        while waiting:
            each, level = waiting.pop()
            if each.DESCRIPTOR.full_name == _ANY:
                yield each, level
                continue
            for field in self._fields_to_any(each.DESCRIPTOR):
                if field.is_extension:
                    held = each.Extensions[field]
                elif not field.is_repeated and not each.HasField(field.name):
                    continue
                else:
                    held = getattr(each, field.name)
                if entry_fields(field):
                    held = held.values()
                elif not field.is_repeated:
                    held = (held,)
                waiting += [(one, level + 1) for one in held]

    def _fields_to_any(self, message: Descriptor) -> list[FieldDescriptor]:
        name = message.full_name
        if name not in self._fields:
            self._fields[name] = [
                part
                for part in parts_of(message)
                if part.message_type is not None and self._can_hold_any(part.message_type)
            ]
        return self._fields[name]

    def _can_hold_any(self, message: Descriptor) -> bool:
        """True if an Any can be anywhere below a message."""
        known = self._holders.get(message.full_name)
        if known is not None:
            return known
        seen = {message.full_name}
        waiting = [message]
        while waiting:
            for part in parts_of(waiting.pop()):
                inner = part.message_type
                if inner is None or inner.full_name in seen:
                    continue
                if self._holders.get(inner.full_name):
                    self._holders[message.full_name] = True
                    return True
                if inner.full_name not in self._holders:
                    seen.add(inner.full_name)
                    waiting.append(inner)
        self._holders.update(dict.fromkeys(seen, False))
        return False
