"""Encodes text as wire bytes: the spelling of each type in a path or a query.

The spellings are those of ProtoJSON, without quotes (protobuf.dev, "ProtoJSON Format"). Each
reader takes text and returns a field's value as on the wire after the tag, without a length. It
raises `ValueError` with a text that says what was expected.
"""

import json
import math
import re
from collections.abc import Callable
from functools import partial

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from gateway.transcoding.field_masks import read_mask
from gateway.transcoding.text_forms import (
    expected,
    is_number,
    parse_base64,
    parse_duration,
    parse_integer,
    parse_number,
    parse_timestamp,
)
from gateway.transcoding.wire import (
    FIXED64,
    INTEGERS,
    LENGTH,
    SIGNED,
    UNSIGNED,
    VARINT,
    ZIGZAG,
    IntegerType,
    fixed,
    length_delimited,
    signed_varint,
    tag,
    time_message,
    varint,
    wire_type_of,
    zigzag,
)

Reader = Callable[[str], bytes]


def _integer(text: str, name: str, low: int, high: int) -> int:
    value = parse_integer(text)
    if value is None:
        if is_number(text):
            raise expected(f"a whole number that fits {name}", text)
        raise expected(f"an {name}" if name[0] == "i" else f"a {name}", text)
    if not low <= value <= high:
        raise expected(f"a number from {low} to {high}", text)
    return value


_ENCODERS: dict[int, Callable[[int], bytes]] = {
    UNSIGNED: varint,
    SIGNED: signed_varint,
    ZIGZAG: zigzag,
}


def _integer_reader(kind: IntegerType) -> Reader:
    name = f"{'int' if kind.low else 'uint'}{(kind.high - kind.low).bit_length()}"
    encode = _ENCODERS.get(kind.encoding, partial(fixed, kind.layout))
    return lambda text: encode(_integer(text, name, kind.low, kind.high))


def read_bool(text: str) -> bytes:
    """Reads exactly `true` or `false`."""
    if text == "true":
        return b"\x01"
    if text == "false":
        return b"\x00"
    raise expected("true or false", text)


def read_numeric_bool(text: str) -> bytes:
    """Reads `true`, `false`, `1` or `0`."""
    return read_bool({"1": "true", "0": "false"}.get(text, text))


def read_string(text: str) -> bytes:
    """Reads any Unicode text."""
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("expected Unicode text without lone surrogates") from None


def read_bytes(text: str) -> bytes:
    """Reads base64 in either alphabet, padded in full or not at all."""
    found = parse_base64(text)
    if found is None:
        raise expected("base64", text)
    return found


def _number(text: str, *, single: bool) -> float:
    try:
        value = parse_number(text, single=single)
    except ValueError:
        raise expected("a number", text) from None
    if value is None:
        raise expected("a number in range", text)
    return value


def read_double(text: str) -> bytes:
    """Reads a finite number, NaN, Infinity or -Infinity."""
    return fixed("<d", _number(text, single=False))


def read_float(text: str) -> bytes:
    """Reads a number like a double, within single precision."""
    return fixed("<f", _number(text, single=True))


def read_timestamp(text: str) -> bytes:
    """Reads RFC 3339 from year 1 to 9999, any offset, up to nine decimals."""
    return time_message(parse_timestamp(text))


def read_duration(text: str) -> bytes:
    """Reads seconds with up to nine decimals and the suffix `s`."""
    return time_message(parse_duration(text))


def read_field_mask(text: str) -> bytes:
    """Reads comma-separated paths in lowerCamelCase or in the names of the .proto."""
    try:
        paths = read_mask(text)
        return b"".join(length_delimited(1, read_string(path)) for path in paths)
    except ValueError:
        raise expected("comma-separated field paths such as title,author.name", text) from None


def read_empty(text: str) -> bytes:
    """Reads a message without fields, set by a parameter without a value."""
    if text:
        raise expected("no value", text)
    return b""


def read_value(text: str) -> bytes:
    """Reads a google.protobuf.Value: null, true, false, a number, a JSON string, or else text."""
    if text == "null":
        return tag(1, VARINT) + b"\x00"
    if text in ("true", "false"):
        return tag(4, VARINT) + read_bool(text)
    try:
        number = parse_number(text, single=False)
    except ValueError:
        number = None
    if number is not None and math.isfinite(number):
        return tag(2, FIXED64) + fixed("<d", number)
    return length_delimited(3, read_string(_unquoted(text)))


def _unquoted(text: str) -> str:
    """Returns the content of a JSON string; any other text unchanged."""
    try:
        return str(json.loads(text)) if text.startswith('"') else text
    except json.JSONDecodeError:
        return text


def enum_reader(enum: EnumDescriptor, *, ignores_case: bool = False) -> Reader:
    """Makes the reader of an enum by name or number; a closed enum takes only its own numbers."""
    by_name = {value.name: signed_varint(value.number) for value in enum.values}
    numbers = {value.number for value in enum.values}
    if enum.full_name == "google.protobuf.NullValue":
        by_name["null"] = by_name["NULL_VALUE"]  # its JSON form
    # Of names that differ only in case, the first one counts, as in Envoy.
    lower = {name.lower(): wire for name, wire in reversed(by_name.items())} if ignores_case else {}

    def read(text: str) -> bytes:
        known = by_name.get(text)
        if known is not None:
            return known
        if ignores_case and text.lower() in lower:
            return lower[text.lower()]
        number = parse_integer(text)
        if number is None:
            raise expected(f"a value of {enum.name} by name or number", text)
        if not -(1 << 31) <= number < 1 << 31:
            raise expected(f"a number from {-(1 << 31)} to {(1 << 31) - 1}", text)
        if enum.is_closed and number not in numbers:
            raise expected(f"a number that {enum.name} declares", text)
        return signed_varint(number)

    return read


_F = FieldDescriptor
_SCALARS: dict[int, Reader] = {
    **{field: _integer_reader(kind) for field, kind in INTEGERS.items()},
    _F.TYPE_DOUBLE: read_double,
    _F.TYPE_FLOAT: read_float,
    _F.TYPE_STRING: read_string,
    _F.TYPE_BYTES: read_bytes,
}
"""By field type."""

_MESSAGES: dict[str, Reader] = {
    "google.protobuf.Timestamp": read_timestamp,
    "google.protobuf.Duration": read_duration,
    "google.protobuf.FieldMask": read_field_mask,
    "google.protobuf.Value": read_value,
    "google.protobuf.Empty": read_empty,
}
"""Well-known types that have a text form."""

_WITHOUT_TEXT = ("google.protobuf.Struct", "google.protobuf.ListValue", "google.protobuf.Any")

_WRAPPER = re.compile(r"google\.protobuf\.(?:Double|Float|U?Int64|U?Int32|Bool|String|Bytes)Value")


def has_members(message: Descriptor) -> bool:
    """True if the JSON form of `message` is an object with its fields, which paths can name.

    Well-known types have other JSON forms, with one spelling each: `ts.seconds` is not valid.
    """
    name = message.full_name
    return not (name in _MESSAGES or name in _WITHOUT_TEXT or _WRAPPER.fullmatch(name))


def value_reader(
    field: FieldDescriptor, *, numeric_bools: bool = False, ignores_case: bool = False
) -> tuple[int, Reader] | None:
    """The wire type and reader for one value of `field`, or None if it has no text form.

    With `ignores_case`, the names of enum values are compared without their case.
    """
    if field.type == _F.TYPE_BOOL:
        return VARINT, read_numeric_bool if numeric_bools else read_bool
    if field.enum_type is not None:
        return VARINT, enum_reader(field.enum_type, ignores_case=ignores_case)
    if field.message_type is None:
        read = _SCALARS.get(field.type)
        return None if read is None else (wire_type_of(field), read)
    name = field.message_type.full_name
    if name in _MESSAGES:
        return LENGTH, _MESSAGES[name]
    if not _WRAPPER.fullmatch(name):
        return None
    inner = value_reader(field.message_type.fields_by_name["value"], numeric_bools=numeric_bools)
    return None if inner is None else (LENGTH, _wrapped(*inner))


def _wrapped(wire_type: int, read: Reader) -> Reader:
    """Makes the reader of a google.protobuf.*Value, whose only field is number 1."""
    head = tag(1, wire_type)

    def read_wrapped(text: str) -> bytes:
        payload = read(text)
        return head + (varint(len(payload)) if wire_type == LENGTH else b"") + payload

    return read_wrapped
