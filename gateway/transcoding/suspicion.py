"""Which bodies need the strict check although the JSON library took them.

The library is lax in a few known ways: numbers in quotes such as `"+1"`, bare numbers a double
cannot hold, two members of a oneof, sloppy field masks. Each shows in the raw text, so one search
for a pattern made for the message type clears nearly every body. A pattern may suspect too much,
which costs time; it must never suspect too little.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.transcoding.json_text import deeper_than
from gateway.transcoding.protojson import MASK_PATH
from gateway.transcoding.replica import WRAPPERS, entry_fields, parts_of

Suspicion = Callable[[bytes], bool]

# In quotes: made of a number's characters, yet not a number as ProtoJSON spells it.
_SLOPPY_NUMBER = (
    r'"(?=[+\-._\d])(?!-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?")'
    r'[+-]?[\d_]*\.?[\d_]*(?:[eE][+-]?[\d_]+)?"'
)
# The same hidden in escapes, of the characters of a number or of another script's digits.
_ESCAPED_NUMBER = r'"[+\-._\deE]*\\u(?:00[2-6]|0[6-9a-fA-F]|1|[aAfF]|[dD][89])'
# The library reads these by way of a double.
_QUOTED_WIDE = r'"-?(?:\d[\d.]*[eE][+-]?\d+|\d{16,}\.\d+)"'
_BARE_WIDE = r"[:\[,]\s*-?(?:\d{16}|\d[\d.]*[eE])"
_BARE_OVER_INT32 = r"[:\[,]\s*-?\d{10}"
_HALF_PADDED = r'"(?:[\w+/-]{4})*+[\w+/-]{2}="'
_SLOPPY_DURATION = r'"-?(?:\d+\.s"|315576000000\.)'
_SLOPPY_MASK = rf'"(?:%s)"\s*:\s*"(?!(?:{MASK_PATH}(?:,{MASK_PATH})*)?")'
_ANY = r'"@type"'
_ESCAPED_NAME = r"\\u00(?:3\d|[4-7])"
_ESCAPED = r"\\u"

_NON_ASCII_DIGIT = re.compile(r"(?![0-9])\d")

_F = FieldDescriptor
_WIDE = {_F.TYPE_INT64, _F.TYPE_UINT64, _F.TYPE_SINT64, _F.TYPE_FIXED64, _F.TYPE_SFIXED64}
_NARROW = {_F.TYPE_INT32, _F.TYPE_UINT32, _F.TYPE_SINT32, _F.TYPE_FIXED32, _F.TYPE_SFIXED32}
_NUMBERS = _WIDE | _NARROW | {_F.TYPE_DOUBLE, _F.TYPE_FLOAT}
_MASK = "google.protobuf.FieldMask"
_DURATION = "google.protobuf.Duration"
_ANY_TYPE = "google.protobuf.Any"
_FREE = {"google.protobuf.Value", "google.protobuf.Struct", "google.protobuf.ListValue"}
_LEAVES = {"google.protobuf.Timestamp", _DURATION, _MASK, _ANY_TYPE, *_FREE}


@dataclass(slots=True)
class Contents:
    """What fields can hold, anywhere below them, as far as their JSON needs care."""

    numbers: bool = False
    wide: bool = False
    floats: bool = False
    bytes: bool = False
    enums: bool = False
    messages: set[str] = field(default_factory=set)
    masks: set[str] = field(default_factory=set)
    """Names under which a field mask may stand; "" for any name."""
    choices: dict[str, set[str]] = field(default_factory=dict)
    """The oneofs each member's name belongs to."""

    @property
    def free(self) -> bool:
        """Whether there may be a google.protobuf.Value."""
        return not self.messages.isdisjoint(_FREE)

    @property
    def anys(self) -> bool:
        """Whether there may be messages of any type."""
        return _ANY_TYPE in self.messages


def contents(fields: Iterable[FieldDescriptor]) -> Contents:
    """What these fields can hold."""
    found = Contents()
    waiting = list(fields)
    while waiting:
        part = waiting.pop()
        _note(found, part)
        inner = part.message_type
        if inner is not None and inner.full_name not in found.messages:
            found.messages.add(inner.full_name)
            if inner.full_name not in _LEAVES:
                waiting += parts_of(inner)
    return found


def levels(message: Descriptor, above: tuple[str, ...] = ()) -> float:
    """How deep the JSON of a message can be nested; infinite where it can hold itself."""
    name = message.full_name
    if name in above or name in _FREE or name == _ANY_TYPE:
        return math.inf
    if name in _LEAVES or name in WRAPPERS:
        return 0
    below = (field_levels(part, (*above, name)) for part in parts_of(message))
    return 1 + max(below, default=0)


def field_levels(part: FieldDescriptor, above: tuple[str, ...] = ()) -> float:
    """As `levels`, of one field's value."""
    entry = entry_fields(part)
    if entry is not None:
        return 1 + field_levels(entry[1], above)
    below = levels(part.message_type, above) if part.message_type else 0
    return below + 1 if part.is_repeated else below


def suspicion(found: Contents, *, depth: int, levels: float = math.inf) -> Suspicion:
    """The test for bodies of a type with these contents, nested at most `levels` deep by itself."""
    odd = _pattern(found)
    members = _members(found.choices)
    numbers = found.numbers
    may_be_deep = levels > depth

    def suspicious(body: bytes) -> bool:
        if odd is not None and odd(body):
            return True
        if members is not None and _crowded(members(body), found.choices):
            return True
        # The library's integers take every script's digits.
        if numbers and not body.isascii() and _NON_ASCII_DIGIT.search(body.decode()):
            return True
        return may_be_deep and deeper_than(body, depth)

    return suspicious


def _note(found: Contents, part: FieldDescriptor) -> None:
    found.numbers |= part.type in _NUMBERS
    found.wide |= part.type in _WIDE
    found.floats |= part.type == _F.TYPE_FLOAT
    found.bytes |= part.type == _F.TYPE_BYTES
    found.enums |= part.enum_type is not None and not part.enum_type.is_closed
    names = {f"[{part.full_name}]"} if part.is_extension else {part.name, part.json_name}
    if part.message_type is not None and part.message_type.full_name == _MASK:
        owner = part.containing_type
        in_map = owner is not None and owner.GetOptions().map_entry
        found.masks |= {""} if part.is_repeated or in_map else names
    oneof = part.containing_oneof
    if oneof is not None and len(oneof.fields) > 1:
        for name in names:
            found.choices.setdefault(name, set()).add(oneof.full_name)


def _pattern(found: Contents) -> Callable[[bytes], object] | None:
    odd = []
    if found.numbers:
        odd += [_SLOPPY_NUMBER, _ESCAPED_NUMBER]
    if found.wide:
        odd += [_QUOTED_WIDE, _BARE_WIDE]
    if found.enums:
        odd.append(_BARE_OVER_INT32)
    if found.bytes:
        odd.append(_HALF_PADDED)
    if _DURATION in found.messages:
        odd.append(_SLOPPY_DURATION)
    if found.masks:
        odd.append(
            _SLOPPY_MASK % ("|".join(map(re.escape, found.masks))) if "" not in found.masks else "."
        )
    if found.anys:
        odd.append(_ANY)
    names = {*found.masks, *found.choices}
    if names or found.anys:
        odd.append(_ESCAPED_NAME if all(map(str.isascii, names)) else _ESCAPED)
    return re.compile("|".join(odd).encode()).search if odd else None


def _members(choices: dict[str, set[str]]) -> Callable[[bytes], list[bytes]] | None:
    if not choices:
        return None
    names = "|".join(map(re.escape, sorted(choices, key=len, reverse=True)))
    return re.compile(rf'"({names})"\s*:'.encode()).findall


def _crowded(members: list[bytes], choices: dict[str, set[str]]) -> bool:
    """Whether two of these member names, or one twice, may stand for one oneof."""
    if len(members) < 2:
        return False
    oneofs = Counter(oneof for name in members for oneof in choices[name.decode()])
    return max(oneofs.values()) > 1
