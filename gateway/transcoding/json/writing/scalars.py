"""Reads scalar values from wire bytes as JSON text (protobuf.dev, "ProtoJSON Format").

64-bit integers are strings, bytes are base64, and numbers that JSON lacks are the strings "NaN",
"Infinity" and "-Infinity". A float has the shortest digits that are read as the same float.

JSON is kept as octets: a `str` with one character for each byte of UTF-8. Python takes up to four
bytes for each character of a text, if one of them is an emoji; of octets, always one.
"""

import struct
from binascii import b2a_base64
from collections.abc import Callable, Mapping
from json.encoder import encode_basestring
from typing import Final

from gateway.transcoding.json.text import utf8_fault
from gateway.transcoding.wire import (
    FIXED32,
    FIXED64,
    LENGTH,
    VARINT,
    MalformedError,
    read_size,
    read_varint,
)

quote: Final[Callable[[str], str]] = encode_basestring
"""Writes octets as a JSON string; characters outside ASCII stay as they are (RFC 8259)."""

_FLOAT: Final = struct.Struct("<f")
_DOUBLE: Final = struct.Struct("<d")
_HALF_STEP: Final = 2.0**-24
"""The largest distance of a number to its float, relative to it."""
_FIXED64: Final = struct.Struct("<Q")
_SPECIAL: Final = {"inf": '"Infinity"', "-inf": '"-Infinity"', "nan": '"NaN"'}
_CHECKED_BYTES: Final = 64 * 1024
"""Larger texts are checked in pieces: as a `str` they may take four times their bytes."""
_32_BITS: Final = (1 << 32) - 1


def octets(text: bytes) -> str:
    """Returns the octets of a text.

    Raises:
        UnicodeDecodeError, MalformedError: it is not UTF-8.
    """
    if len(text) > _CHECKED_BYTES:
        if utf8_fault(text) >= 0:
            raise MalformedError
    else:
        decoded = text.decode()
        if len(decoded) == len(text):  # ASCII
            return decoded
    return text.decode("latin-1")


def text_of(octets: str) -> str:
    """Returns the text that octets stand for."""
    return octets.encode("latin-1").decode()


class Scalar:
    """Reads the values of one scalar type."""

    def __init__(self, kind: str, wire_type: int, default: str) -> None:
        self.kind = kind
        """The name of the type in a .proto file; that of an enum is `enum`."""
        self.wire_type = wire_type
        """The wire type of a value that is not packed."""
        self.default = default
        """The JSON of the type's zero value."""

    def read(self, wire: bytes, at: int, end: int) -> tuple[str, int]:
        """Reads the value at a position; returns its JSON, as octets, and its end.

        The JSON is empty for a number that a closed enum does not have: the value counts as absent
        (protobuf.dev, "Enum Behavior").

        Raises:
            MalformedError: the value is incomplete.
            UnicodeDecodeError: a string is not UTF-8.
        """
        raise NotImplementedError

    def described(self) -> tuple[object, ...]:
        """Describes the type: its kind, its default, the text of each number, true if closed."""
        return self.kind, self.default, [], False


class StringScalar(Scalar):
    """Reads strings."""

    def __init__(self) -> None:
        super().__init__("string", LENGTH, '""')

    def read(self, wire: bytes, at: int, end: int) -> tuple[str, int]:
        """Reads a string."""
        start, stop = read_size(wire, at, end)
        return quote(octets(wire[start:stop])), stop


class BytesScalar(Scalar):
    """Reads bytes as base64 with padding."""

    def __init__(self) -> None:
        super().__init__("bytes", LENGTH, '""')

    def read(self, wire: bytes, at: int, end: int) -> tuple[str, int]:
        """Reads bytes."""
        start, stop = read_size(wire, at, end)
        return base64_json(wire[start:stop]), stop


class IntegerScalar(Scalar):
    """Reads integers that are varints: `bits` is their size, `zigzag` true for sint types."""

    def __init__(self, bits: int, *, signed: bool, zigzag: bool = False) -> None:
        prefix = "s" if zigzag else "" if signed else "u"
        super().__init__(f"{prefix}int{bits}", VARINT, '"0"' if bits == 64 else "0")
        self._wide = bits == 64
        self._mask = (1 << bits) - 1
        self._largest = (1 << (bits - 1)) - 1 if signed and not zigzag else self._mask
        self._zigzag = zigzag

    def read(self, wire: bytes, at: int, end: int) -> tuple[str, int]:
        """Reads an integer."""
        if at < end and wire[at] < 128:
            value = wire[at]
            at += 1
        else:
            value, at = read_varint(wire, at, end)
            value &= self._mask  # a longer number loses its high bits (encoding guide)
        if self._zigzag:
            value = -(value >> 1) - 1 if value & 1 else value >> 1
        elif value > self._largest:
            value -= self._mask + 1
        return (f'"{value}"' if self._wide else str(value)), at


class Fixed32Scalar(Scalar):
    """Reads fixed32, and sfixed32 if `signed`."""

    def __init__(self, *, signed: bool) -> None:
        super().__init__("sfixed32" if signed else "fixed32", FIXED32, "0")
        self._largest = _32_BITS >> 1 if signed else _32_BITS

    def read(self, wire: bytes, at: int, end: int) -> tuple[str, int]:
        """Reads four bytes, the lowest first."""
        stop = at + 4
        if stop > end:
            raise MalformedError
        value = wire[at] | wire[at + 1] << 8 | wire[at + 2] << 16 | wire[at + 3] << 24
        return str(value if value <= self._largest else value - _32_BITS - 1), stop


class Fixed64Scalar(Scalar):
    """Reads fixed64, and sfixed64 if `signed`."""

    def __init__(self, *, signed: bool) -> None:
        super().__init__("sfixed64" if signed else "fixed64", FIXED64, '"0"')
        self._largest = (1 << 63) - 1 if signed else (1 << 64) - 1

    def read(self, wire: bytes, at: int, end: int) -> tuple[str, int]:
        """Reads eight bytes, the lowest first."""
        stop = at + 8
        if stop > end:
            raise MalformedError
        value: int = _FIXED64.unpack_from(wire, at)[0]
        return f'"{value if value <= self._largest else value - (1 << 64)}"', stop


class BoolScalar(Scalar):
    """Reads true and false."""

    def __init__(self) -> None:
        super().__init__("bool", VARINT, "false")

    def read(self, wire: bytes, at: int, end: int) -> tuple[str, int]:
        """Reads a varint: all but zero is true."""
        value, at = read_varint(wire, at, end)
        return ("true" if value else "false"), at


class EnumScalar(Scalar):
    """Reads enum values; `texts` holds the JSON of each number.

    A closed enum has no other numbers; those of an open one are written as numbers.
    """

    def __init__(self, texts: Mapping[int, str], default: str, *, closed: bool) -> None:
        super().__init__("enum", VARINT, default)
        self._texts = dict(texts)
        self._closed = closed

    def read(self, wire: bytes, at: int, end: int) -> tuple[str, int]:
        """Reads a number and finds its name."""
        value, at = read_varint(wire, at, end)
        value &= _32_BITS
        if value > _32_BITS >> 1:
            value -= _32_BITS + 1
        text = self._texts.get(value)
        if text is None:
            text = "" if self._closed else str(value)
        return text, at

    def described(self) -> tuple[object, ...]:
        """Describes the enum."""
        texts = [(number, text_of(text)) for number, text in self._texts.items()]
        return self.kind, text_of(self.default), texts, self._closed


class NullScalar(Scalar):
    """Reads google.protobuf.NullValue, whose JSON is null."""

    def __init__(self) -> None:
        super().__init__("null", VARINT, "null")

    def read(self, wire: bytes, at: int, end: int) -> tuple[str, int]:
        """Reads a number, whatever it is."""
        return "null", read_varint(wire, at, end)[1]


class FloatScalar(Scalar):
    """Reads 32-bit floats."""

    def __init__(self) -> None:
        super().__init__("float", FIXED32, "0")

    def read(self, wire: bytes, at: int, end: int) -> tuple[str, int]:
        """Reads four bytes."""
        stop = at + 4
        if stop > end:
            raise MalformedError
        value: float = _FLOAT.unpack_from(wire, at)[0]
        return float_json(value), stop


class DoubleScalar(Scalar):
    """Reads 64-bit floats."""

    def __init__(self) -> None:
        super().__init__("double", FIXED64, "0")

    def read(self, wire: bytes, at: int, end: int) -> tuple[str, int]:
        """Reads eight bytes."""
        stop = at + 8
        if stop > end:
            raise MalformedError
        value: float = _DOUBLE.unpack_from(wire, at)[0]
        return double_json(value), stop


def double_json(value: float) -> str:
    """Writes a double with the fewest digits that are read as the same double; 5.0 is 5."""
    text = repr(value)
    if text.endswith(".0"):
        return text[:-2]
    return text if text[-1].isdigit() else _SPECIAL[text]


def float_json(value: float) -> str:
    """Writes a 32-bit float with the fewest digits that are read as the same float."""
    if value - value != 0.0:  # infinity or not a number
        return double_json(value)
    bits: bytes = _FLOAT.pack(value)
    few = _few_digits(value)
    if few != 0.0 and _FLOAT.pack(few) == bits:
        return double_json(few)
    for form in ("%.6g", "%.7g", "%.8g"):
        near = float(form % value)
        try:
            if _FLOAT.pack(near) == bits:
                return double_json(near)
        except OverflowError:  # rounded up beyond the largest float
            continue
    return double_json(float(f"{value:.9g}"))


def _few_digits(value: float) -> float:
    """Returns the number of up to four decimals, and six digits, that a float may stand for, or 0.

    It is the one if it is read as the same float: no other one of six digits is.
    """
    size = abs(value)
    if not 0.0001 <= size < 1e5:
        return 0.0
    power = 1.0
    for _ in range(5):
        whole = float(int(size * power + 0.5))
        if whole >= 1e6:
            return 0.0
        near = whole / power  # correct to the last bit, because both are exact
        if abs(near - size) <= size * _HALF_STEP:
            return near if value > 0.0 else -near
        power *= 10.0
    return 0.0


def base64_json(value: bytes) -> str:
    """Writes bytes as base64 with padding (RFC 4648, section 4)."""
    text: str = b2a_base64(value, newline=False).decode("ascii")
    return f'"{text}"'
