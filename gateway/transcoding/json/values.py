"""Checks of values that are not ordinary messages: numbers, text, enums, well-known types.

The rules are those of protobuf.dev, "ProtoJSON Format".
"""

import math
import re
import struct
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Final

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor

from gateway.transcoding.field_masks import MAX_CHARACTERS, hide_text
from gateway.transcoding.json.report import At, Check, Report, expect
from gateway.transcoding.json.text import Number, Tree
from gateway.transcoding.text_forms import parse_duration, parse_timestamp
from gateway.transcoding.text_values import read_bytes

MASK_PATH = r"(?:\*|[A-Za-z][A-Za-z0-9]*+(?:\.(?:[A-Za-z0-9]++|\*))*+)"
"""One path of a FieldMask in lowerCamelCase; steps after the first can be a map's key or `*`
(AIP-161)."""

LEFT_OUT: Final = Number("left out")
"""The result of a check for a value that counts as absent."""

_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,30})")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_MASK = re.compile(f"(?:{MASK_PATH}(?:,{MASK_PATH})*+)?")
_EXACT = 1 << 53  # up to here a double holds every integer
_FLOAT_MAX = struct.unpack("<f", b"\xff\xff\x7f\x7f")[0]
_FLOAT_ROUNDS_TO_MAX = 3.4028235677973366e38  # half a step further, where infinity begins


def map_key(key: FieldDescriptor) -> Check:
    """Returns the check of a map's key, which is quoted in JSON."""
    if key.type == FieldDescriptor.TYPE_BOOL:
        return _check_bool_key
    return SCALARS[key.type]


def enum_check(enum: EnumDescriptor, *, ignore: bool = False) -> Check:
    """Makes the check of an enum, by name or number; `ignore` drops unknown names."""
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
        if not known and ignore and kind is str:
            report.changed = True
            return LEFT_OUT
        return tree if known else expect(what, tree, at, report)

    return check


def check_list(one: Check, tree: Tree, at: At, report: Report) -> Tree:
    """Checks an array whose items must pass `one`."""
    if type(tree) is not list:
        return expect("an array", tree, at, report)
    checked = [one(item, (at, index), report) for index, item in enumerate(tree)]
    return [item for item in checked if item is not LEFT_OUT]


def check_map(key: Check, one: Check, tree: Tree, at: At, report: Report) -> Tree:
    """Checks an object whose names must pass `key` and whose values `one`."""
    if type(tree) is not tuple:
        return expect("an object", tree, at, report)
    checked = [
        (str(key(name, (at, (name,)), report)), one(item, (at, (name,)), report))
        for name, item in tree
    ]
    return tuple(member for member in checked if member[1] is not LEFT_OUT)


def _check_bool_key(tree: Tree, at: At, report: Report) -> Tree:
    return tree if tree in ("true", "false") else expect("the key true or false", tree, at, report)


def _check_bool(tree: Tree, at: At, report: Report) -> Tree:
    return tree if type(tree) is bool else expect("true or false", tree, at, report)


def _check_string(tree: Tree, at: At, report: Report) -> Tree:
    return tree if type(tree) is str else expect("a string", tree, at, report)


def _integer(low: int, high: int, tree: Tree, at: At, report: Report) -> Tree:
    kind = type(tree)
    if kind is int or (kind is str and _INTEGER.fullmatch(str(tree))):
        number = int(tree)  # type: ignore[arg-type] # by its kind
    elif kind is Number or (kind is str and _NUMBER.fullmatch(str(tree))):
        whole = _whole(str(tree))
        if whole is None:
            return expect("a whole number", tree, at, report)
        number = whole
    else:
        return expect("an integer", tree, at, report)
    if not low <= number <= high:
        return expect(f"a number from {low} to {high}", tree, at, report)
    if -_EXACT <= number <= _EXACT or kind is int or _INTEGER.fullmatch(str(tree)):
        return tree
    report.changed = True  # rewrite it, because the library would read it as a double
    return str(number) if kind is str else number


def _whole(text: str) -> int | None:
    """Parses `1.0` or `1e2` to an integer; through a double only where doubles are exact."""
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
        return expect("a number", tree, at, report)
    if kind not in (int, str, Number):
        return expect("a number", tree, at, report)
    try:
        value = float(tree)  # type: ignore[arg-type] # by its kind
    except OverflowError:
        value = math.inf
    if math.isinf(value) or abs(value) >= limit:
        return expect("a number in range", tree, at, report)
    if limit == _FLOAT_ROUNDS_TO_MAX and abs(value) > _FLOAT_MAX:
        report.changed = True
        return Number(repr(math.copysign(_FLOAT_MAX, value)))
    return tree


def _text(read: Callable[[str], object], tree: Tree, at: At, report: Report) -> Tree:
    """Checks a string that has the same spelling in a query."""
    if type(tree) is not str:
        return expect("a string", tree, at, report)
    try:
        read(tree)
    except ValueError as error:
        report.add(at, str(error))
    return tree


def _check_mask(tree: Tree, at: At, report: Report) -> Tree:
    if type(tree) is str:
        if len(tree) > MAX_CHARACTERS:
            return expect(f"at most {MAX_CHARACTERS} characters of field paths", tree, at, report)
        if _MASK.fullmatch(tree):
            return tree
        hidden = hide_text(tree)
        if hidden is not None:
            report.changed = True
            return hidden
    return expect("comma-separated field paths such as title,author.birthYear", tree, at, report)


def _check_free(tree: Tree, at: At, report: Report) -> Tree:
    """Checks any JSON whose numbers fit a double (google/protobuf/struct.proto)."""
    if isinstance(tree, tuple):
        return tuple((key, _check_free(item, (at, key), report)) for key, item in tree)
    if isinstance(tree, list):
        return [_check_free(item, (at, index), report) for index, item in enumerate(tree)]
    return _float(math.inf, tree, at, report) if type(tree) in (int, Number) else tree


def _check_struct(tree: Tree, at: At, report: Report) -> Tree:
    if type(tree) is not tuple:
        return expect("an object", tree, at, report)
    return _check_free(tree, at, report)


_F = FieldDescriptor
_INT32 = partial(_integer, -(1 << 31), (1 << 31) - 1)
_INT64 = partial(_integer, -(1 << 63), (1 << 63) - 1)
_UINT32 = partial(_integer, 0, (1 << 32) - 1)
_UINT64 = partial(_integer, 0, (1 << 64) - 1)
SCALARS: dict[int, Check] = {
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
"""The checks by field type, without enums and messages."""
SPECIAL: dict[str, Check] = {
    "google.protobuf.Timestamp": partial(_text, parse_timestamp),
    "google.protobuf.Duration": partial(_text, parse_duration),
    "google.protobuf.FieldMask": _check_mask,
    "google.protobuf.Value": _check_free,
    "google.protobuf.Struct": _check_struct,
    "google.protobuf.ListValue": partial(check_list, _check_free),
}
"""The checks of messages whose JSON is not an object of their fields, by full name.

Wrappers and Any have other checks."""
