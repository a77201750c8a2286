"""The readers of scalars: numbers, booleans, text, bytes and enums."""

import struct
from typing import Final

from google.protobuf.descriptor import EnumDescriptor

from gateway.transcoding.json.reading.failures import Failures
from gateway.transcoding.json.reading.messages import Value
from gateway.transcoding.json.reading.number import Number
from gateway.transcoding.text_forms import (
    in_range,
    is_number,
    parse_base64,
    parse_integer,
    parse_number,
)
from gateway.transcoding.wire import (
    SIGNED,
    UNSIGNED,
    ZIGZAG,
    IntegerType,
    short_heads,
    signed_varint,
    varint,
    zigzag,
)

_PACK_DOUBLE: Final = struct.Struct("<d").pack
_PACK_FLOAT: Final = struct.Struct("<f").pack
_ZERO: Final = b"\x00"
_ONE: Final = b"\x01"


class Scalar(Value):
    """A value that is no message: `head` is its tag, empty where the values are packed."""

    def __init__(self, head: bytes, *, omits_default: bool) -> None:
        self.head = head
        self.short = short_heads(head)
        self.size = len(head)
        self.omits_default = omits_default


class IntegerValue(Scalar):
    """An integer, as a number or in quotes."""

    def __init__(self, head: bytes, kind: IntegerType, *, omits_default: bool) -> None:
        super().__init__(head, omits_default=omits_default)
        self.low = kind.low
        self.high = kind.high
        self.encoding = kind.encoding
        self.pack = struct.Struct(kind.layout).pack

    def write(self, tree: object, out: list[bytes], depth: int, failures: Failures) -> int:
        """Appends an integer."""
        number = 0
        if type(tree) is int:
            number = tree
        elif isinstance(tree, str):
            exact = parse_integer(tree)
            if exact is None:
                return failures.expected(
                    "a whole number" if is_number(tree) else "an integer", tree
                )
            number = exact
        else:
            return failures.expected("an integer", tree)
        if number == 0 and self.omits_default:
            return 0
        encoding = self.encoding
        if 0 <= number < len(self.short) and encoding <= SIGNED:
            out.append(self.short[number])
            return self.size + 1
        if not self.low <= number <= self.high:
            return failures.expected(f"a number from {self.low} to {self.high}", tree)
        if encoding == UNSIGNED:
            payload = varint(number)
        elif encoding == SIGNED:
            payload = varint(number) if number >= 0 else signed_varint(number)
        elif encoding == ZIGZAG:
            payload = zigzag(number)
        else:
            payload = self.pack(number)
        out.append(self.head)
        out.append(payload)
        return self.size + len(payload)


class NumberValue(Scalar):
    """A double, or a float if it is `single`, as a number or in quotes."""

    def __init__(self, head: bytes, *, single: bool, omits_default: bool) -> None:
        super().__init__(head, omits_default=omits_default)
        self.single = single

    def write(self, tree: object, out: list[bytes], depth: int, failures: Failures) -> int:
        """Appends a floating-point number."""
        number: float | None
        if type(tree) is Number:  # the parser has checked its grammar
            number = in_range(float(tree), single=self.single)
        elif isinstance(tree, str):
            try:
                number = parse_number(tree, single=self.single)
            except ValueError:
                return failures.expected("a number", tree)
        elif type(tree) is int:
            number = _float(tree, single=self.single)
        else:
            return failures.expected("a number", tree)
        if number is None:
            return failures.expected("a number in range", tree)
        payload: bytes = _PACK_FLOAT(number) if self.single else _PACK_DOUBLE(number)
        # Minus zero is not the default: its bits are not zero.
        if self.omits_default and not payload.strip(_ZERO):
            return 0
        out.append(self.head)
        out.append(payload)
        return self.size + len(payload)


def _float(number: int, *, single: bool) -> float | None:
    try:
        return in_range(float(number), single=single)
    except OverflowError:
        return None


class _Bool(Scalar):
    """A boolean, in whatever spelling."""

    def __init__(self, head: bytes, *, omits_default: bool) -> None:
        super().__init__(head, omits_default=omits_default)
        self.true = head + _ONE
        self.false = head + _ZERO


class BoolValue(_Bool):
    """Exactly true or false."""

    def write(self, tree: object, out: list[bytes], depth: int, failures: Failures) -> int:
        """Appends a boolean."""
        if tree is True:
            out.append(self.true)
        elif tree is False:
            if self.omits_default:
                return 0
            out.append(self.false)
        else:
            return failures.expected("true or false", tree)
        return self.size + 1


class BoolKey(_Bool):
    """The key of a map by booleans, in quotes as every name in JSON."""

    def write(self, tree: object, out: list[bytes], depth: int, failures: Failures) -> int:
        """Appends a boolean."""
        if tree not in ("true", "false"):
            return failures.expected("the key true or false", tree)
        out.append(self.true if tree == "true" else self.false)
        return self.size + 1


class StringValue(Scalar):
    """Text."""

    def write(self, tree: object, out: list[bytes], depth: int, failures: Failures) -> int:
        """Appends text in UTF-8."""
        if type(tree) is str:
            return append_bytes(self, tree.encode(), out)
        if type(tree) is bytes:  # long text
            return append_bytes(self, tree, out)
        return failures.expected("a string", tree)


class BytesValue(Scalar):
    """Bytes in base64."""

    def write(self, tree: object, out: list[bytes], depth: int, failures: Failures) -> int:
        """Appends bytes."""
        if type(tree) is bytes:  # long text that is not ASCII
            return failures.expected("base64", tree)
        if type(tree) is not str:
            return failures.expected("a string", tree)
        payload = parse_base64(tree)
        if payload is None:
            return failures.expected("base64", tree)
        return append_bytes(self, payload, out)


def append_bytes(scalar: Scalar, payload: bytes, out: list[bytes]) -> int:
    """Appends a value with its length; returns the size of both with the tag."""
    length = len(payload)
    if length == 0 and scalar.omits_default:
        return 0
    short = scalar.short
    if length < len(short):  # the tag and the length in one piece
        out.append(short[length])
        out.append(payload)
        return scalar.size + 1 + length
    prefix = varint(length)
    out.append(scalar.head)
    out.append(prefix)
    out.append(payload)
    return scalar.size + len(prefix) + length


class EnumValue(Scalar):
    """An enum by name or number; a closed one takes only the numbers that it declares."""

    def __init__(
        self,
        head: bytes,
        enum: EnumDescriptor,
        *,
        ignores_unknown: bool,
        ignores_case: bool,
        omits_default: bool,
    ) -> None:
        super().__init__(head, omits_default=omits_default)
        self.names = {value.name: value.number for value in enum.values}
        # Of names that differ only in case, the first one counts, as in Envoy.
        names = reversed(enum.values) if ignores_case else ()
        self.lower = {value.name.lower(): value.number for value in names}
        self.numbers = set(self.names.values())
        self.is_closed = bool(enum.is_closed)
        self.is_null = enum.full_name == "google.protobuf.NullValue"
        self.what = f"a value of {enum.name} by name or number"
        self.ignores_unknown = ignores_unknown

    def write(self, tree: object, out: list[bytes], depth: int, failures: Failures) -> int:
        """Appends the number of a value."""
        number = 0
        if type(tree) is bytes:  # long text that is not ASCII, as every name is
            return 0 if self.ignores_unknown else failures.expected(self.what, tree)
        if type(tree) is str:
            known = self.names.get(tree)
            if known is None and self.lower:
                known = self.lower.get(tree.lower())
            if known is None:
                return 0 if self.ignores_unknown else failures.expected(self.what, tree)
            number = known
        elif type(tree) is int or type(tree) is Number:
            exact = tree if isinstance(tree, int) else parse_integer(tree)
            if exact is None or not self._takes(exact):
                return failures.expected(self.what, tree)
            number = exact
        elif tree is not None or not self.is_null:
            return failures.expected(self.what, tree)
        if number == 0 and self.omits_default:
            return 0
        if 0 <= number < len(self.short):
            out.append(self.short[number])
            return self.size + 1
        payload = varint(number) if number >= 0 else signed_varint(number)
        out.append(self.head)
        out.append(payload)
        return self.size + len(payload)

    def _takes(self, number: int) -> bool:
        return number in self.numbers if self.is_closed else -(1 << 31) <= number < 1 << 31
