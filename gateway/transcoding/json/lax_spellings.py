"""Which bodies need the strict check although the JSON library took them.

The library is lax about some values: numbers in quotes such as `"+1"`, bare numbers a double cannot
hold, sloppy field masks, two members of a oneof. So the values of such fields must have one of the
plain spellings below, or the body is suspect. One search over the raw text, for a pattern made of
the fields' names, tells. It may suspect too much, which costs time; never too little.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.transcoding.json.type_copies import WRAPPERS, entry_fields, parts_of
from gateway.transcoding.json.values import MASK_PATH

SpellingTest = Callable[[bytes], bool]

_F = FieldDescriptor
_INTEGERS = {
    *(_F.TYPE_INT32, _F.TYPE_UINT32, _F.TYPE_SINT32, _F.TYPE_FIXED32, _F.TYPE_SFIXED32),
    *(_F.TYPE_INT64, _F.TYPE_UINT64, _F.TYPE_SINT64, _F.TYPE_FIXED64, _F.TYPE_SFIXED64),
}
_FREE = {"google.protobuf.Value", "google.protobuf.Struct", "google.protobuf.ListValue"}
_ANY = "google.protobuf.Any"

# Spellings that the library reads as the strict checker does. JSON's own grammar is settled before,
# so these need not care for it.
_INTEGER = r'(?:-?\d{1,20}(?![\d.eE])|"-?(?:0|[1-9]\d*)")'
_NUMBER = r'(?:-?\d[\d.eE+-]*|"-?(?:0|[1-9]\d*)(?:\.\d+)?"|"NaN"|"-?Infinity")'
_ENUM = r'(?:-?\d{1,9}(?!\d)|"[^"\\]*")'
_BYTES = r'(?:"(?!(?:[\w+/-]{4})*+[\w+/-]{2}=")[^"\\]*")'
_OTHER = r'(?:"[^"\\]*"|true|false)'
_NOTHING = r"(?!)"
_LEAVES = {
    "google.protobuf.Timestamp": None,
    "google.protobuf.Duration": r'(?:"-?\d{1,11}(?:\.\d+)?s")',
    "google.protobuf.FieldMask": f'(?:"(?:{MASK_PATH}(?:,{MASK_PATH})*+)?")',
    **dict.fromkeys(_FREE),
    _ANY: None,
}
"""Messages that are not looked into, with their plain spelling where that matters."""

_BACKSLASH = 0x5C
_SPACE = r"\s*+"
_NAME_END = rf'"{_SPACE}:{_SPACE}'
# A name may be spelled with escapes, of letters, digits or "@", and then is not seen.
_ESCAPED_NAME = re.compile(rb"\\u00(?:3\d|[4-7])").search
_ESCAPED = re.compile(rb"\\u").search
# In a google.protobuf.Value the library takes a number no double can hold for infinity.
_HUGE = re.compile(rb"[eE]\+?\d{3}|(?<!\d)\d{300}").search


@dataclass(slots=True)
class Contents:
    """What fields can hold, anywhere below them, as far as their JSON needs care."""

    floats: bool = False
    extensions: bool = False
    messages: set[str] = field(default_factory=set)
    spellings: dict[str, set[str]] = field(default_factory=dict)
    """By name, the patterns that values must match, of each field of that name."""
    choices: dict[str, set[str]] = field(default_factory=dict)
    """The oneofs each member's name belongs to."""

    @property
    def free(self) -> bool:
        """Whether there may be a google.protobuf.Value."""
        return not self.messages.isdisjoint(_FREE)

    @property
    def open(self) -> bool:
        """Whether there may be types or fields that the types in sight do not name."""
        return self.anys or self.extensions

    @property
    def anys(self) -> bool:
        """Whether there may be messages of any type."""
        return _ANY in self.messages


def message_contents(message: Descriptor) -> Contents:
    """What a message can hold, itself included."""
    return _contents(parts_of(message), Contents(messages={message.full_name}))


def field_contents(part: FieldDescriptor) -> Contents:
    """What a field can hold."""
    return _contents([part], Contents())


def _contents(fields: Iterable[FieldDescriptor], found: Contents) -> Contents:
    waiting = list(fields)
    while waiting:
        part = waiting.pop()
        _note(found, part)
        entry = entry_fields(part)
        inner = (entry[1] if entry else part).message_type
        if inner is not None and inner.full_name not in found.messages:
            found.messages.add(inner.full_name)
            if inner.full_name not in _LEAVES:
                waiting += parts_of(inner)
    return found


def lax_spelling_test(found: Contents) -> SpellingTest:
    """The test for bodies of a type with these contents."""
    odd = _odd_values(found)
    members = _members(found.choices)
    ascii_names = all(name.isascii() for name in (*found.spellings, *found.choices))
    escaped = _ESCAPED_NAME if ascii_names else _ESCAPED
    by_name = odd is not None or members is not None
    free = found.free or found.anys

    def suspicious(body: bytes) -> bool:
        if odd is not None and odd(body):
            return True
        if members is not None and _crowded(members(body), found.choices):
            return True
        # Most bodies have no backslash, and for one character there is nothing quicker than `in`.
        if by_name and _BACKSLASH in body and escaped(body):
            return True
        return free and _HUGE(body) is not None

    return suspicious


def value_spelling(part: FieldDescriptor) -> str | None:
    """The pattern a field's value must match, or None where the library is strict by itself."""
    entry = entry_fields(part)
    if entry is not None:
        return _map_spelling(*entry)
    one = _spelling(part)
    if one is None:
        return None
    many = rf"\[(?:{_SPACE}{one}{_SPACE},?)*+\]"
    return f"(?:null|{many if part.is_repeated else one})"


def _note(found: Contents, part: FieldDescriptor) -> None:
    names = {f"[{part.full_name}]"} if part.is_extension else {part.name, part.json_name}
    found.extensions |= part.is_extension
    found.floats |= part.type == _F.TYPE_FLOAT
    entry = entry_fields(part)
    if entry is not None:
        found.floats |= entry[1].type == _F.TYPE_FLOAT
    spelling = value_spelling(part)
    if spelling is not None:
        for name in names:
            found.spellings.setdefault(name, set()).add(spelling)
    oneof = part.containing_oneof
    if oneof is not None and len(oneof.fields) > 1:
        for name in names:
            found.choices.setdefault(name, set()).add(oneof.full_name)


def _spelling(part: FieldDescriptor) -> str | None:
    """As `value_spelling`, of one value."""
    if part.type in _INTEGERS:
        return _INTEGER
    if part.type in (_F.TYPE_DOUBLE, _F.TYPE_FLOAT):
        return _NUMBER
    if part.type == _F.TYPE_BYTES:
        return _BYTES
    if part.enum_type is not None:
        return None if part.enum_type.is_closed else _ENUM
    if part.message_type is None:
        return None
    if part.message_type.full_name in WRAPPERS:
        return _spelling(part.message_type.fields_by_name["value"])
    return _LEAVES.get(part.message_type.full_name)


def _map_spelling(key: FieldDescriptor, value: FieldDescriptor) -> str | None:
    integers = key.type in _INTEGERS
    one = _spelling(value)
    if one is None and not integers:
        return None
    if one is None:
        one = _NOTHING if value.message_type else _OTHER
    name = r'"-?(?:0|[1-9]\d*)"' if integers else r'"[^"\\]*"'
    return rf"(?:null|\{{(?:{_SPACE}{name}{_SPACE}:{_SPACE}{one}{_SPACE},?)*+\}})"


def _odd_values(found: Contents) -> Callable[[bytes], object] | None:
    """Finds a member whose value is not plain, or whose name needs resolving."""
    odd = {
        name: "|".join(f"(?!{each})" for each in sorted(spellings))
        for name, spellings in found.spellings.items()
    }
    names = _by_first_letter({name: f"{_NAME_END}(?:{tail})" for name, tail in odd.items()})
    tries = [names] if odd else []
    if found.anys:
        tries.append('@type"')
    if found.open:
        # The library takes an extension of any message in any other.
        tries.append(rf'\[[^"]*+"{_SPACE}:')
    # The quote in front of all alternatives lets the search leap from quote to quote.
    return re.compile(f'"(?:{"|".join(tries)})'.encode()).search if tries else None


def _by_first_letter(tails: dict[str, str]) -> str:
    """A pattern for these names, each with its tail, that tries few of them at any letter."""
    alike: dict[str, dict[str, list[str]]] = {}
    for name, tail in sorted(tails.items()):
        alike.setdefault(name[:1], {}).setdefault(tail, []).append(re.escape(name[1:]))
    letters = (
        re.escape(letter) + _any_of(_any_of(rests) + tail for tail, rests in tries.items())
        for letter, tries in alike.items()
    )
    return _any_of(letters)


def _any_of(patterns: Iterable[str]) -> str:
    return f"(?:{'|'.join(patterns)})"


def _members(choices: dict[str, set[str]]) -> Callable[[bytes], Iterator[re.Match[bytes]]] | None:
    if not choices:
        return None
    names = _by_first_letter(dict.fromkeys(choices, ""))
    return re.compile(f'"({names})"{_SPACE}:'.encode()).finditer


def _crowded(members: Iterable[re.Match[bytes]], choices: dict[str, set[str]]) -> bool:
    """Whether two of these member names, or one twice, may stand for one oneof."""
    seen: set[str] = set()
    for member in members:
        oneofs = choices[member[1].decode()]
        if not seen.isdisjoint(oneofs):
            return True
        seen |= oneofs
    return False
