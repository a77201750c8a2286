"""The readers of well-known types, whose JSON is not an object of their fields.

The forms are those of protobuf.dev, "ProtoJSON Format", and of the types' own .proto files.
"""

import struct
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from gateway.transcoding.field_masks import MAX_CHARACTERS, read_mask
from gateway.transcoding.json.large_text import LargeArray, LargeObject
from gateway.transcoding.json.reading.failures import Failures, excerpt, member_step
from gateway.transcoding.json.reading.keys import Keys
from gateway.transcoding.json.reading.messages import (
    MANY,
    MessagePlan,
    MessageValue,
    Pairs,
    Plan,
    Value,
    join_from,
    too_deep,
    with_few_keys,
    with_size,
    write_items,
)
from gateway.transcoding.text_forms import in_range, parse_duration, parse_timestamp
from gateway.transcoding.wire import (
    FIXED64,
    LENGTH,
    MAX_DEPTH,
    VARINT,
    short_heads,
    tag,
    time_message,
    varint,
)

_TYPE_URL: Final = tag(1, LENGTH)
_VALUE: Final = tag(2, LENGTH)
_TYPE: Final = "@type"
_CONTENT: Final = "value"

Find = Callable[[str], Plan | None]
"""Finds the plan of a message type by its full name; None if an Any may not hold it."""


class AnyPlan(Plan):
    """The reader of an object with the member `@type`, anywhere in it.

    A type whose JSON is not an object of its fields stands in a second member, `value`; others are
    refused unless `ignores` says that a member of that name is to be ignored.
    """

    def __init__(self, find: Find, ignores: Callable[[str | bytes], bool]) -> None:
        self.find = find
        self._ignores = ignores

    def write(self, tree: object, out: list[bytes], depth: int, failures: Failures) -> int:
        """Appends the type's URL and the wire bytes of the message."""
        pairs: Pairs
        if isinstance(tree, LargeObject):
            pairs = tree.if_large()  # its type may come last
        elif type(tree) is tuple:
            pairs = tree
            failures.passed(len(tree))
        else:
            return failures.expected("an object with @type", tree)
        if pairs == ():
            return 0
        if depth > MAX_DEPTH:
            raise too_deep()
        url = _only(_TYPE, pairs, failures)
        if type(url) is bytes:  # long text
            url = url.decode()
        kind = url.rpartition("/")[2] if type(url) is str and "/" in url else ""
        plan = self.find(kind) if kind else None
        if plan is None or type(url) is not str:
            _add(failures, _TYPE, "expected the URL of a known type, such as host/package.Type")
            return 0
        name = url.encode()
        prefix = varint(len(name))
        out += (_TYPE_URL, prefix, name)
        size = 1 + len(prefix) + len(name)
        at = len(out)
        out += (_VALUE, b"")
        if isinstance(plan, MessagePlan):
            written = plan.write_members(_without_type(pairs), out, depth + 1, failures)
        else:
            written = self._write_content(plan, pairs, out, depth, failures)
            if written < 0:
                _add(failures, _CONTENT, f"expected the value of the {kind}")
                return 0
        if not written:
            del out[at:]
            return size
        out[at + 1] = varint(written)
        return size + 1 + len(out[at + 1]) + written

    def _write_content(
        self, plan: Plan, pairs: Pairs, out: list[bytes], depth: int, failures: Failures
    ) -> int:
        """Appends the member `value` of a type with its own JSON form; -1 if there is none."""
        has_content = False
        for key, _ in pairs:
            if key == _CONTENT:
                has_content = True
            elif key != _TYPE and not self._ignores(key):
                _add(failures, key, "no such field")
        if not has_content:
            return -1
        content = _only(_CONTENT, pairs, failures)
        failed = failures.count
        written = plan.write(content, out, depth + 1, failures)
        failures.prefix(failed, member_step(_CONTENT))
        return written


def _without_type(
    pairs: Pairs,
) -> Pairs:
    """Returns the members of the message in an Any."""
    if isinstance(pairs, LargeObject):
        return pairs.without(_TYPE)
    return tuple([pair for pair in pairs if pair[0] != _TYPE])


def _only(name: str, pairs: Pairs, failures: Failures) -> object:
    """Returns the value of a member, or None; adds a failure if the member is there twice."""
    values = [item for key, item in pairs if key == name]
    if len(values) > 1:
        _add(failures, name, "set twice")
    return values[0] if values else None


def _add(failures: Failures, name: str | bytes, description: str) -> None:
    """Adds a failure at a member of the Any."""
    failed = failures.count
    failures.add(description)
    failures.prefix(failed, member_step(name))


_PACK_DOUBLE: Final = struct.Struct("<d").pack

# google/protobuf/struct.proto: the fields of a Value.
_NULL: Final = tag(1, VARINT) + b"\x00"
_NUMBER: Final = tag(2, FIXED64)
_STRING: Final = tag(3, LENGTH)
_FALSE: Final = tag(4, VARINT) + b"\x00"
_TRUE: Final = tag(4, VARINT) + b"\x01"
# The only field of a Struct, of a ListValue and of a FieldMask; the key of an entry.
_FIRST: Final = tag(1, LENGTH)
_SECOND: Final = tag(2, LENGTH)
_SHORT_STRING: Final = short_heads(_STRING)
_SHORT_FIRST: Final = short_heads(_FIRST)
_SHORT_SECOND: Final = short_heads(_SECOND)


class TimePlan(Plan):
    """A Timestamp or a Duration; `parse` returns its seconds and nanoseconds."""

    def __init__(self, parse: Callable[[str], tuple[int, int]]) -> None:
        self._parse = parse

    def write(self, tree: object, out: list[bytes], depth: int, failures: Failures) -> int:
        """Appends the message."""
        if type(tree) is bytes:
            tree = excerpt(tree)
        if type(tree) is not str:
            return failures.expected("a string", tree)
        try:
            payload = time_message(self._parse(tree))
        except ValueError as error:
            return failures.add(str(error))
        out.append(payload)
        return len(payload)


class MaskPlan(Plan):
    """A google.protobuf.FieldMask: paths in lowerCamelCase, separated by commas."""

    def write(self, tree: object, out: list[bytes], depth: int, failures: Failures) -> int:
        """Appends the paths."""
        if type(tree) is bytes:  # four bytes of UTF-8 are at least one character
            tree = tree[: 4 * MAX_CHARACTERS + 4].decode("utf-8", "ignore")
        if type(tree) is str:
            if len(tree) > MAX_CHARACTERS:
                what = f"at most {MAX_CHARACTERS} characters of field paths"
                return failures.expected(what, tree)
            try:
                paths = read_mask(tree, camel_case=True)
            except ValueError:
                pass
            else:
                pieces = []
                for path in paths:
                    spelled = path.encode()
                    pieces.append(with_size(_FIRST, _SHORT_FIRST, len(spelled)))
                    pieces.append(spelled)
                payload = b"".join(pieces)
                out.append(payload)
                return len(payload)
        what = "comma-separated field paths such as title,author.birthYear"
        return failures.expected(what, tree)


class WrapperPlan(Plan):
    """A message of wrappers.proto: its JSON is that of its only field."""

    def __init__(self, value: Value) -> None:
        self.value = value

    def write(self, tree: object, out: list[bytes], depth: int, failures: Failures) -> int:
        """Appends the field; an absent one has its default."""
        if depth > MAX_DEPTH:
            raise too_deep()
        return self.value.write(tree, out, depth, failures)


class FreePlan(Plan):
    """A google.protobuf.Value: any JSON whose numbers fit a double."""

    def write(self, tree: object, out: list[bytes], depth: int, failures: Failures) -> int:
        """Appends the value."""
        return _write_value(tree, out, depth, failures)


class StructPlan(Plan):
    """A google.protobuf.Struct: an object of any JSON."""

    def write(self, tree: object, out: list[bytes], depth: int, failures: Failures) -> int:
        """Appends the members."""
        if type(tree) is tuple or isinstance(tree, LargeObject):
            return _write_struct(tree, out, depth, failures)
        return failures.expected("an object", tree)


class ArrayPlan(Plan):
    """A google.protobuf.ListValue: an array of any JSON."""

    def write(self, tree: object, out: list[bytes], depth: int, failures: Failures) -> int:
        """Appends the items."""
        if type(tree) is list or isinstance(tree, LargeArray):
            return _write_array(tree, out, depth, failures)
        return failures.expected("an array", tree)


_STRUCT: Final = MessageValue(tag(5, LENGTH), StructPlan())
_LIST: Final = MessageValue(tag(6, LENGTH), ArrayPlan())
_ITEM: Final = MessageValue(_FIRST, FreePlan())


def _write_value(tree: object, out: list[bytes], depth: int, failures: Failures) -> int:
    if depth > MAX_DEPTH:
        raise too_deep()
    if type(tree) is str or type(tree) is bytes:
        payload = tree.encode() if isinstance(tree, str) else tree
        head = with_size(_STRING, _SHORT_STRING, len(payload))
        out.append(head)
        out.append(payload)
        return len(head) + len(payload)
    # One test for each type: machine code makes the union of several anew at each call.
    if type(tree) is tuple or isinstance(tree, LargeObject):
        return _STRUCT.write(tree, out, depth, failures)
    if type(tree) is list or isinstance(tree, LargeArray):
        return _LIST.write(tree, out, depth, failures)
    if tree is None or tree is True or tree is False:
        out.append(_NULL if tree is None else _TRUE if tree is True else _FALSE)
        return 2
    return _write_number(tree, out, failures)


def _write_number(tree: object, out: list[bytes], failures: Failures) -> int:
    number: float | None = None
    if type(tree) is int:
        try:
            number = float(tree)
        except OverflowError:
            number = None
    else:
        number = in_range(float(str(tree)), single=False)
    if number is None:
        return failures.expected("a number in range", tree)
    out.append(_NUMBER)
    out.append(_PACK_DOUBLE(number))
    return 9


def _write_struct(pairs: Pairs, out: list[bytes], depth: int, failures: Failures) -> int:
    if depth > MAX_DEPTH:
        raise too_deep()
    if isinstance(pairs, LargeObject):
        return with_few_keys(partial(_write_pairs, pairs, out, depth, failures), out, failures)
    return _write_pairs(pairs, out, depth, failures, Keys())


def _write_pairs(pairs: Pairs, out: list[bytes], depth: int, failures: Failures, keys: Keys) -> int:
    size = 0
    failed = failures.count
    start = len(out)
    for key, item in pairs:
        name = key.encode() if isinstance(key, str) else key
        if keys.is_twice(name):
            failures.add("set twice")
        at = len(out)
        out.append(b"")
        first = with_size(_FIRST, _SHORT_FIRST, len(name))
        out.append(first)
        out.append(name)
        out.append(b"")
        written = _write_value(item, out, depth + 2, failures)
        second = out[at + 3] = with_size(_SECOND, _SHORT_SECOND, written)
        entry = len(first) + len(name) + len(second) + written
        head = out[at] = with_size(_FIRST, _SHORT_FIRST, entry)
        size += len(head) + entry
        if failures.count != failed:
            failures.prefix(failed, member_step(key))
            failed = failures.count
            if failures.is_full:
                return 0
        if len(out) - start > MANY:
            start = join_from(start, out)
    return size


def _write_array(items: Iterable[object], out: list[bytes], depth: int, failures: Failures) -> int:
    if depth > MAX_DEPTH:
        raise too_deep()
    return write_items(_ITEM, items, out, depth, failures)


WELL_KNOWN: Final[dict[str, Plan]] = {
    "google.protobuf.Timestamp": TimePlan(parse_timestamp),
    "google.protobuf.Duration": TimePlan(parse_duration),
    "google.protobuf.FieldMask": MaskPlan(),
    "google.protobuf.Value": FreePlan(),
    "google.protobuf.Struct": StructPlan(),
    "google.protobuf.ListValue": ArrayPlan(),
}
"""The plans by full name. Wrappers and Any have other plans."""
