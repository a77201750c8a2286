"""Decides which accepted JSON bodies need the strict check.

The JSON library is lax about some values: numbers in quotes such as `"+1"`, bare numbers that a
double cannot hold, invalid field masks, two members of a oneof. So the values of such fields must
have one of the plain spellings below, or the body is checked. One search over the raw text decides,
with a pattern made of the fields' names. It may select too many bodies, which costs time, but never
too few.
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

# Spellings that the library and the strict checker read alike. The grammar of JSON is checked
# before, so these patterns do not check it.
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
"""Messages whose fields are not searched, with their plain spelling if it matters."""

_BACKSLASH = 0x5C
_SPACE = r"\s*+"
_NAME_END = rf'"{_SPACE}:{_SPACE}'
# A name spelled with escapes, of letters, digits or "@", which the search would not find.
_ESCAPED_NAME = re.compile(rb"\\u00(?:3\d|[4-7])").search
_ESCAPED = re.compile(rb"\\u").search
# In a google.protobuf.Value the library reads a number that no double can hold as infinity.
_HUGE = re.compile(rb"[eE]\+?\d{3}|(?<!\d)\d{300}").search


@dataclass(slots=True)
class Contents:
    """The possible content of fields, at any depth, as far as it matters for their JSON."""

    has_extensions: bool = False
    messages: set[str] = field(default_factory=set)
    spellings: dict[str, set[str]] = field(default_factory=dict)
    """By field name, the patterns of plain values of the fields with that name."""
    choices: dict[str, set[str]] = field(default_factory=dict)
    """By member name, the oneofs that it belongs to."""

    @property
    def has_free_json(self) -> bool:
        """True if a google.protobuf.Value is possible."""
        return not self.messages.isdisjoint(_FREE)

    @property
    def has_unlisted_types(self) -> bool:
        """True if types or fields are possible that the schema types do not name."""
        return self.has_any or self.has_extensions

    @property
    def has_masks(self) -> bool:
        """True if a google.protobuf.FieldMask is possible."""
        return "google.protobuf.FieldMask" in self.messages or self.has_unlisted_types

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
        _note(found, part)
        entry = entry_fields(part)
        inner = (entry[1] if entry else part).message_type
        if inner is not None and inner.full_name not in found.messages:
            found.messages.add(inner.full_name)
            if inner.full_name not in _LEAVES:
                waiting += parts_of(inner)
    return found


def lax_spelling_test(found: Contents) -> SpellingTest:
    """Makes the test for bodies of a type with these contents."""
    odd = _odd_values(found)
    members = _members(found.choices)
    ascii_names = all(name.isascii() for name in (*found.spellings, *found.choices))
    escaped = _ESCAPED_NAME if ascii_names else _ESCAPED
    by_name = odd is not None or members is not None
    free = found.has_free_json or found.has_any

    def may_be_lax(body: bytes) -> bool:
        if odd is not None and odd(body):
            return True
        if members is not None and _has_oneof_twice(members(body), found.choices):
            return True
        # Search for a backslash first: most bodies have none, and `in` is the fastest search.
        if by_name and _BACKSLASH in body and escaped(body):
            return True
        return free and _HUGE(body) is not None

    return may_be_lax


def value_spelling(part: FieldDescriptor) -> str | None:
    """Returns the pattern of a field's plain values, or None if the library is strict for it."""
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
    found.has_extensions |= part.is_extension
    spelling = value_spelling(part)
    if spelling is not None:
        for name in names:
            found.spellings.setdefault(name, set()).add(spelling)
    oneof = part.containing_oneof
    if oneof is not None and len(oneof.fields) > 1:
        for name in names:
            found.choices.setdefault(name, set()).add(oneof.full_name)


def _spelling(part: FieldDescriptor) -> str | None:
    """Returns the pattern of one value, as `value_spelling` does."""
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
    """Makes the search for a member whose value is not plain, or whose name needs resolving."""
    odd = {
        name: "|".join(f"(?!{each})" for each in sorted(spellings))
        for name, spellings in found.spellings.items()
    }
    names = _by_first_letter({name: f"{_NAME_END}(?:{tail})" for name, tail in odd.items()})
    tries = [names] if odd else []
    if found.has_any:
        tries.append('@type"')
    if found.has_unlisted_types:
        # The library accepts an extension of any message in any other.
        tries.append(rf'\[[^"]*+"{_SPACE}:')
    # The quote before all alternatives lets the search jump from quote to quote.
    return re.compile(f'"(?:{"|".join(tries)})'.encode()).search if tries else None


def _by_first_letter(tails: dict[str, str]) -> str:
    """Makes a pattern of names with their tails, grouped by first letter, which is faster."""
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


def _has_oneof_twice(members: Iterable[re.Match[bytes]], choices: dict[str, set[str]]) -> bool:
    """True if two of these member names, or one name twice, may belong to one oneof."""
    seen: set[str] = set()
    for member in members:
        oneofs = choices[member[1].decode()]
        if not seen.isdisjoint(oneofs):
            return True
        seen |= oneofs
    return False
