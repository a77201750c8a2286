"""How deep and how large messages inside google.protobuf.Any may be: asked before they are printed.

The JSON library holds each Any's content beside the bytes of the message around it. An Any in an
Any in an Any ... therefore costs its size once for each level, and a reply of 4 MB a hundred times
that. So what all Anys hold together is bounded by the size of the message.
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
"""What all Anys of a message may hold together: so many times the message, and 1 MiB."""


class AnyBounds:
    """Looks for messages whose Anys are nested too deep, or hold too much; `find` knows types."""

    def __init__(self, find: Find) -> None:
        self._find = find
        self._leads: dict[str, bool] = {_ANY: True}
        self._ways: dict[str, list[FieldDescriptor]] = {}

    def flaw(self, message: Descriptor, wire: bytes) -> str | None:
        """What is wrong with the Anys in a message, or None. Memory and time grow as its size."""
        if MAX_DEPTH * len(wire) <= _FREE_BYTES:
            return None  # as most: whatever they hold, it is little, and printing bounds its depth
        left = _TIMES * len(wire) + _FREE_BYTES
        waiting = [(message, wire, 0)]
        while waiting:
            kind, content, depth = waiting.pop()
            try:
                decoded = GetMessageClass(kind).FromString(content)
            except DecodeError:
                continue  # printing it fails with better words
            for holder, level in self._anys(decoded, depth):
                if level > MAX_DEPTH:
                    return f"it is nested deeper than {MAX_DEPTH} levels"
                value = holder.value
                left -= len(value)
                if left < 0:
                    return "what is nested in google.protobuf.Any is far larger than the message"
                held = self._find(holder.type_url.rpartition("/")[2])
                if held is not None and self._leads_to_any(held):
                    waiting.append((held, value, level + 1))
        return None

    def _anys(self, message: Any, depth: int) -> Iterator[tuple[Any, int]]:
        """Each Any in a message, not looked into, and how deep it is."""
        waiting = [(message, depth)]
        while waiting:
            each, level = waiting.pop()
            if each.DESCRIPTOR.full_name == _ANY:
                yield each, level
                continue
            for field in self._ways_to_any(each.DESCRIPTOR):
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

    def _ways_to_any(self, message: Descriptor) -> list[FieldDescriptor]:
        name = message.full_name
        if name not in self._ways:
            self._ways[name] = [
                part
                for part in parts_of(message)
                if part.message_type is not None and self._leads_to_any(part.message_type)
            ]
        return self._ways[name]

    def _leads_to_any(self, message: Descriptor) -> bool:
        """Whether an Any can be anywhere below a message."""
        known = self._leads.get(message.full_name)
        if known is not None:
            return known
        seen = {message.full_name}
        waiting = [message]
        while waiting:
            for part in parts_of(waiting.pop()):
                inner = part.message_type
                if inner is None or inner.full_name in seen:
                    continue
                if self._leads.get(inner.full_name):
                    self._leads[message.full_name] = True
                    return True
                if inner.full_name not in self._leads:
                    seen.add(inner.full_name)
                    waiting.append(inner)
        self._leads.update(dict.fromkeys(seen, False))
        return False
