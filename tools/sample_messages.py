"""Creates messages with a value in each field, with Python's protobuf library."""

from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

_DEPTH = 3
_INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32,
    FieldDescriptor.CPPTYPE_INT64,
    FieldDescriptor.CPPTYPE_UINT32,
    FieldDescriptor.CPPTYPE_UINT64,
}
_FLOATS = {FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE}
_LEFT_OUT = {"google.protobuf.Any", "google.protobuf.ListValue"}
"""Types whose content is not described by their descriptor."""
_TEXTS = {
    "google.protobuf.Timestamp": "2024-01-31T12:00:00Z",
    "google.protobuf.Duration": "3.500s",
    "google.protobuf.FieldMask": "title,someName",
    "google.protobuf.StringValue": "text",
    "google.protobuf.BytesValue": "YWI=",
    "google.protobuf.BoolValue": "true",
    **{f"google.protobuf.{kind}{size}Value": "7" for kind in ("Int", "UInt") for size in (32, 64)},
    "google.protobuf.FloatValue": "1.5",
    "google.protobuf.DoubleValue": "1.5",
}
"""The spelling of one value of each well-known type in a path or query."""


def message_of(descriptor: Descriptor, wire: bytes = b"") -> Message:
    """Decodes `wire` as a message of this type; without it, an empty message."""
    message: Message = GetMessageClass(descriptor)()
    message.ParseFromString(wire)
    return message


def filled(
    descriptor: Descriptor, *, raw: tuple[str, bytes], only: str = "", depth: int = _DEPTH
) -> Message:
    """A message with a value in each field, or in the field `only`; one member of each oneof.

    Every google.api.HttpBody in it contains `raw`: a media type and bytes.
    """
    message = message_of(descriptor)
    _fill(message, raw, only, depth)
    return message


def text_of(described: FieldDescriptor) -> str | None:
    """The spelling of a value of this field in a URL, or None if it has none."""
    kind = described.message_type
    if kind is not None:
        return None if described.is_repeated else _TEXTS.get(kind.full_name)
    if described.enum_type is not None:
        return None if _is_null(described) else str(described.enum_type.values[-1].name)
    if described.type == FieldDescriptor.TYPE_BYTES:
        return "YWI="
    value = _scalar(described)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _fill(message: Message, raw: tuple[str, bytes], only: str, depth: int) -> None:
    name = message.DESCRIPTOR.full_name
    if name == "google.api.HttpBody":
        message.content_type, message.data = raw  # type: ignore[attr-defined]
        return
    if name in _TEXTS:
        if name.endswith("FieldMask"):
            message.paths.extend(["title", "some_name"])  # type: ignore[attr-defined]
        else:
            first: Any = message.DESCRIPTOR.fields[0]
            setattr(message, first.name, _scalar(first))
        return
    if name == "google.protobuf.Value":
        message.string_value = "text"  # type: ignore[attr-defined]
        return
    fields: Any = message.DESCRIPTOR.fields
    for described in fields:
        oneof = described.containing_oneof
        is_first = oneof is None or oneof.fields[0].number == described.number
        if (only or (described.name if is_first else "")) == described.name:
            _fill_field(message, described, raw, depth)


def _fill_field(
    message: Message, described: FieldDescriptor, raw: tuple[str, bytes], depth: int
) -> None:
    kind, name = described.message_type, described.name
    if kind is not None and (depth == 0 or kind.full_name in _LEFT_OUT or _is_null(described)):
        return
    held: Any = getattr(message, name)
    if kind is not None and kind.GetOptions().map_entry:
        value = kind.fields_by_name["value"]
        key = _scalar(kind.fields_by_name["key"])
        if value.message_type is None:
            held[key] = _scalar(value)
        elif value.message_type.full_name not in _LEFT_OUT:
            _fill(held[key], raw, "", depth - 1)
    elif kind is not None:
        inner = held.add() if described.is_repeated else held
        inner.SetInParent()
        _fill(inner, raw, "", depth - 1)
    elif described.is_repeated:
        held.append(_scalar(described))
    else:
        setattr(message, name, _scalar(described))


def _is_null(described: FieldDescriptor) -> bool:
    enum = described.enum_type
    return enum is not None and enum.full_name == "google.protobuf.NullValue"


def _scalar(described: FieldDescriptor) -> Any:
    if described.cpp_type in _INTEGERS:
        return 7
    if described.cpp_type in _FLOATS:
        return 1.5
    if described.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return True
    if described.enum_type is not None:
        return described.enum_type.values[-1].number
    return b"ab" if described.type == FieldDescriptor.TYPE_BYTES else f"text{described.number}"
