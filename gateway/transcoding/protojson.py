"""Strict ProtoJSON: every way in which a JSON tree is not the message it is meant to be.

The rules are those of protobuf.dev, "ProtoJSON Format"; where they leave a choice, the strict one
is taken, so that no digit and no character of a request is lost in silence. A number that only
needs another spelling is given it; unknown members are pruned where they are to be ignored.

Checks are made once for each message type, when it is first seen.
"""

import json
import math
import re
import struct
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import TypeAlias

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from gateway.status import FieldViolation, invalid_fields
from gateway.transcoding.json_text import Number, Tree
from gateway.transcoding.replica import WRAPPERS, entry_fields, parts_of
from gateway.transcoding.text_values import read_bytes, read_duration, read_timestamp, shown

MASK_PATH = r"(?:\*|[A-Za-z][A-Za-z0-9]*(?:\.(?:[A-Za-z0-9]+|\*))*)"
"""One path of a FieldMask in lowerCamelCase; behind the first step a map's key or `*` (AIP-161)."""

MAX_VIOLATIONS = 20

At: TypeAlias = "tuple[At, str | int | tuple[str]] | None"
"""Where a value stands: the way to its parent, then a member, an index, or (a map's key,)."""

_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,30})")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_MASK = re.compile(f"(?:{MASK_PATH}(?:,{MASK_PATH})*)?")
_EXACT = 1 << 53  # up to here a double holds every integer
_FLOAT_MAX = struct.unpack("<f", b"\xff\xff\x7f\x7f")[0]
_FLOAT_ROUNDS_TO_MAX = 3.4028235677973366e38  # half a step further, where infinity begins


class _EnoughError(Exception):
    """So many violations that more would help nobody."""


@dataclass(slots=True)
class Report:
    """What a check found: violations, and whether the tree it returns is another than given."""

    violations: list[FieldViolation] = field(default_factory=list)
    changed: bool = False

    def add(self, at: At, description: str) -> None:
        """One more violation."""
        self.violations.append(FieldViolation(path_text(at), description))
        if len(self.violations) >= MAX_VIOLATIONS:
            raise _EnoughError


Check: TypeAlias = Callable[[Tree, At, Report], Tree]
"""Takes a value and where it stands, reports what is wrong with it, returns it with its repairs."""


def run(check: Check, tree: Tree, at: At = None) -> tuple[Tree, bool]:
    """The tree as the message wants it, and whether that is another than was given.

    Raises:
        StatusError: INVALID_ARGUMENT naming every bad field, up to a bound.
    """
    report = Report()
    with suppress(_EnoughError):
        tree = check(tree, at, report)
    if report.violations:
        raise invalid_fields(report.violations)
    return tree, report.changed


def path_text(at: At) -> str:
    """As people write it: `book.authors[2].birthYear`, `labels["k"]`."""
    steps: list[str] = []
    while at is not None:
        at, step = at
        if isinstance(step, str):
            steps += (_cut(step), "." if at else "")
        else:
            steps.append(f"[{step}]" if isinstance(step, int) else f"[{shown(step[0])}]")
    return "".join(reversed(steps))


def _cut(name: str) -> str:
    """A member's name, bare if it can be a field's, else quoted so that it can do no harm."""
    return name if re.fullmatch(r"[\w.\[\]@-]{1,64}", name) else shown(name)


@dataclass(frozen=True, slots=True)
class _Member:
    """A field as an object's member: `oneof` is its choice, if any."""

    name: str
    check: Check
    oneof: str | None
    takes_null: bool


class Checker:
    """Makes the check of each message type; `find` resolves the types an Any may hold.

    Unknown members are refused, except those with a name among `ignored`; None ignores all.
    """

    def __init__(
        self, find: Callable[[str], Descriptor | None], ignored: Collection[str] | None
    ) -> None:
        self._find = find
        self._ignored = ignored
        self._checks: dict[str, Check] = {}

    def message(self, message: Descriptor) -> Check:
        """The check of a whole message."""
        name = message.full_name
        if name not in self._checks:
            self._checks[name] = self._message_check(message)
        return self._checks[name]

    def field(self, of: FieldDescriptor) -> Check:
        """The check of what a field holds: a list, a map, or one value; null unsets it."""
        one = self._value(of)
        entry = entry_fields(of)
        if entry is not None:
            key, value = entry
            return partial(_check_map, _map_key(key), self._value(value))
        return partial(_check_list, one) if of.is_repeated else one

    def field_or_null(self, of: FieldDescriptor) -> Check:
        """As `field`, but null is let through."""
        check = self.field(of)
        return lambda tree, at, report: None if tree is None else check(tree, at, report)

    def _value(self, of: FieldDescriptor) -> Check:
        if of.message_type is not None:
            return self.message(of.message_type)
        if of.enum_type is not None:
            return _enum(of.enum_type)
        return _SCALARS[of.type]

    def _message_check(self, message: Descriptor) -> Check:
        special = _SPECIAL.get(message.full_name)
        if special is not None:
            return special
        if message.full_name == "google.protobuf.Any":
            return self._check_any
        if message.full_name in WRAPPERS:
            return self._value(message.fields_by_name["value"])
        members: dict[str, _Member] = {}

        def check(tree: Tree, at: At, report: Report) -> Tree:
            if not members:  # made late, for messages may hold themselves
                members.update(self._members(message))
            return self._check_object(members, tree, at, report)

        return check

    def _members(self, message: Descriptor) -> Iterable[tuple[str, _Member]]:
        for part in parts_of(message):
            name = f"[{part.full_name}]" if part.is_extension else part.json_name
            oneof = part.containing_oneof
            choice = oneof.name if oneof is not None and len(oneof.fields) > 1 else None
            member = _Member(name, self.field(part), choice, takes_null(part))
            if not part.is_extension:
                yield part.name, member
            yield name, member

    def _check_object(
        self, members: dict[str, _Member], tree: Tree, at: At, report: Report
    ) -> Tree:
        if type(tree) is not tuple:
            report.add(at, f"expected an object, got {_kind(tree)}")
            return tree
        kept: list[tuple[str, Tree]] = []
        chosen: dict[str, str] = {}
        for key, item in tree:
            member = members.get(key)
            if member is None:
                self._unknown(key, at, report)
            elif item is None and not member.takes_null:
                kept.append((key, None))
            else:
                here = (at, member.name)
                if member.oneof is not None:
                    _choose(member, chosen, here, report)
                kept.append((key, member.check(item, here, report)))
        return tuple(kept)

    def _unknown(self, key: str, at: At, report: Report) -> None:
        if self._ignored is None or key in self._ignored:
            report.changed = True
        else:
            report.add((at, key), "no such field")

    def _check_any(self, tree: Tree, at: At, report: Report) -> Tree:
        if type(tree) is not tuple:
            report.add(at, f"expected an object with @type, got {_kind(tree)}")
            return tree
        if not tree:
            return tree
        rest = tuple(member for member in tree if member[0] != "@type")
        urls = [item for key, item in tree if key == "@type"]
        url = urls[-1] if urls else None
        message = self._find(url.rpartition("/")[2]) if type(url) is str and "/" in url else None
        if message is None:
            report.add((at, "@type"), "expected the URL of a known type, such as host/package.Type")
            return tree
        return (("@type", url), *self._any_members(message, rest, at, report))

    def _any_members(
        self, message: Descriptor, rest: tuple[tuple[str, Tree], ...], at: At, report: Report
    ) -> tuple[tuple[str, Tree], ...]:
        check = self.message(message)
        if not has_own_form(message):
            checked = check(rest, at, report)
            return checked if isinstance(checked, tuple) else ()
        for key, _ in rest:
            if key != "value":
                self._unknown(key, at, report)
        values = [item for key, item in rest if key == "value"]
        if not values:
            report.add((at, "value"), f"expected the value of the {message.full_name}")
            return ()
        return (("value", check(values[-1], (at, "value"), report)),)


def takes_null(field: FieldDescriptor) -> bool:
    """Whether null is a value of this field rather than its absence."""
    if field.is_repeated:
        return False
    kind = field.message_type or field.enum_type
    return kind is not None and kind.full_name in (
        "google.protobuf.Value",
        "google.protobuf.NullValue",
    )


def has_own_form(message: Descriptor) -> bool:
    """Whether the JSON of a message is other than an object of its fields."""
    name = message.full_name
    return name in _SPECIAL or name in WRAPPERS or name == "google.protobuf.Any"


def _choose(member: _Member, chosen: dict[str, str], at: At, report: Report) -> None:
    assert member.oneof is not None  # noqa: S101 # the caller's condition, for the type checker
    first = chosen.setdefault(member.oneof, member.name)
    if first != member.name:
        report.add(at, f"cannot be set beside {first}")
    elif member.oneof + "\0" in chosen:
        report.add(at, "set twice")
    chosen[member.oneof + "\0"] = ""


def _kind(tree: Tree) -> str:
    """What a value is, as an error may say it."""
    if isinstance(tree, tuple):
        return "an object"
    if isinstance(tree, list):
        return "an array"
    if type(tree) in (int, Number):
        return shown(str(tree))[1:-1]
    return shown(tree) if isinstance(tree, str) else json.dumps(tree)


def _expect(what: str, tree: Tree, at: At, report: Report) -> Tree:
    report.add(at, f"expected {what}, got {_kind(tree)}")
    return tree


def _check_list(one: Check, tree: Tree, at: At, report: Report) -> Tree:
    if type(tree) is not list:
        return _expect("an array", tree, at, report)
    return [one(item, (at, index), report) for index, item in enumerate(tree)]


def _check_map(key: Check, one: Check, tree: Tree, at: At, report: Report) -> Tree:
    if type(tree) is not tuple:
        return _expect("an object", tree, at, report)
    return tuple(
        (str(key(name, (at, (name,)), report)), one(item, (at, (name,)), report))
        for name, item in tree
    )


def _map_key(key: FieldDescriptor) -> Check:
    if key.type == FieldDescriptor.TYPE_BOOL:
        return _check_bool_key
    return _SCALARS[key.type]


def _check_bool_key(tree: Tree, at: At, report: Report) -> Tree:
    return tree if tree in ("true", "false") else _expect("the key true or false", tree, at, report)


def _check_bool(tree: Tree, at: At, report: Report) -> Tree:
    return tree if type(tree) is bool else _expect("true or false", tree, at, report)


def _check_string(tree: Tree, at: At, report: Report) -> Tree:
    return tree if type(tree) is str else _expect("a string", tree, at, report)


def _integer(low: int, high: int, tree: Tree, at: At, report: Report) -> Tree:
    kind = type(tree)
    if kind is int or (kind is str and _INTEGER.fullmatch(str(tree))):
        number = int(tree)  # type: ignore[arg-type] # by its kind
    elif kind is Number or (kind is str and _NUMBER.fullmatch(str(tree))):
        whole = _whole(str(tree))
        if whole is None:
            return _expect("a whole number", tree, at, report)
        number = whole
    else:
        return _expect("an integer", tree, at, report)
    if not low <= number <= high:
        return _expect(f"a number from {low} to {high}", tree, at, report)
    if -_EXACT <= number <= _EXACT:
        return tree
    return _wide(number, tree, at, report)


def _wide(number: int, tree: Tree, at: At, report: Report) -> Tree:
    """Beyond what a double holds a bare number may have lost digits before it was sent."""
    if type(tree) is not str:
        if int(float(number)) != number:
            report.add(at, "so large a number must be in quotes, or its last digits may be lost")
        return tree
    if not _INTEGER.fullmatch(tree):
        report.changed = True  # the library would read it by way of a double
    return str(number)


def _whole(text: str) -> int | None:
    """The integer that `1.0` or `1e2` stands for, as a double has it unless that loses digits."""
    near = float(text)
    if not near.is_integer() or abs(near) > 1e30:
        return None
    if abs(near) < _EXACT:
        return int(near)
    exact = Decimal(text)
    return int(exact) if exact == exact.to_integral_value() else None


def _float(limit: float, tree: Tree, at: At, report: Report) -> Tree:
    kind = type(tree)
    if kind is str and tree in ("NaN", "Infinity", "-Infinity"):
        return tree
    if kind is str and not _NUMBER.fullmatch(str(tree)):
        return _expect("a number", tree, at, report)
    if kind not in (int, str, Number):
        return _expect("a number", tree, at, report)
    try:
        value = float(tree)  # type: ignore[arg-type] # by its kind
    except OverflowError:
        value = math.inf
    if math.isinf(value) or abs(value) >= limit:
        return _expect("a number in range", tree, at, report)
    if limit == _FLOAT_ROUNDS_TO_MAX and abs(value) > _FLOAT_MAX:
        report.changed = True
        return Number(repr(math.copysign(_FLOAT_MAX, value)))
    return tree


def _enum(enum: EnumDescriptor) -> Check:
    names = {value.name for value in enum.values}
    numbers = {value.number for value in enum.values}
    nullable = enum.full_name == "google.protobuf.NullValue"
    what = f"a value of {enum.name} by name or number"

    def check(tree: Tree, at: At, report: Report) -> Tree:
        kind = type(tree)
        if kind is int or (kind is Number and tree == "-0"):
            number = int(tree)  # type: ignore[arg-type] # by its kind
            known = number in numbers or (not enum.is_closed and -(1 << 31) <= number < 1 << 31)
        else:
            known = tree in names if kind is str else (tree is None and nullable)
        return tree if known else _expect(what, tree, at, report)

    return check


def _text(read: Callable[[str], object], tree: Tree, at: At, report: Report) -> Tree:
    """A string whose spelling is the query's as well."""
    if type(tree) is not str:
        return _expect("a string", tree, at, report)
    try:
        read(tree)
    except ValueError as error:
        report.add(at, str(error))
    return tree


def _check_mask(tree: Tree, at: At, report: Report) -> Tree:
    if type(tree) is str and _MASK.fullmatch(tree):
        return tree
    return _expect("comma-separated field paths such as title,author.birthYear", tree, at, report)


def _check_free(tree: Tree, at: At, report: Report) -> Tree:
    """Any JSON whose numbers a double can hold (google/protobuf/struct.proto)."""
    if isinstance(tree, tuple):
        return tuple((key, _check_free(item, (at, key), report)) for key, item in tree)
    if isinstance(tree, list):
        return [_check_free(item, (at, index), report) for index, item in enumerate(tree)]
    return _float(math.inf, tree, at, report) if type(tree) in (int, Number) else tree


def _check_struct(tree: Tree, at: At, report: Report) -> Tree:
    if type(tree) is not tuple:
        return _expect("an object", tree, at, report)
    return _check_free(tree, at, report)


_F = FieldDescriptor
_INT32 = partial(_integer, -(1 << 31), (1 << 31) - 1)
_INT64 = partial(_integer, -(1 << 63), (1 << 63) - 1)
_UINT32 = partial(_integer, 0, (1 << 32) - 1)
_UINT64 = partial(_integer, 0, (1 << 64) - 1)
_SCALARS: dict[int, Check] = {
    **dict.fromkeys((_F.TYPE_INT32, _F.TYPE_SINT32, _F.TYPE_SFIXED32), _INT32),
    **dict.fromkeys((_F.TYPE_INT64, _F.TYPE_SINT64, _F.TYPE_SFIXED64), _INT64),
    **dict.fromkeys((_F.TYPE_UINT32, _F.TYPE_FIXED32), _UINT32),
    **dict.fromkeys((_F.TYPE_UINT64, _F.TYPE_FIXED64), _UINT64),
    _F.TYPE_DOUBLE: partial(_float, math.inf),
    _F.TYPE_FLOAT: partial(_float, _FLOAT_ROUNDS_TO_MAX),
    _F.TYPE_BOOL: _check_bool,
    _F.TYPE_STRING: _check_string,
    _F.TYPE_BYTES: partial(_text, read_bytes),
}
_SPECIAL: dict[str, Check] = {
    "google.protobuf.Timestamp": partial(_text, read_timestamp),
    "google.protobuf.Duration": partial(_text, read_duration),
    "google.protobuf.FieldMask": _check_mask,
    "google.protobuf.Value": _check_free,
    "google.protobuf.Struct": _check_struct,
    "google.protobuf.ListValue": partial(_check_list, _check_free),
}
