"""The places of elements in .proto files, and their numbers."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)

from gateway.schema.comments import named_elements


class Element(NamedTuple):
    """A message, field, enum, value, service or method."""

    place: str
    """Its file, with the line if the file has source information."""
    number: int | None = None
    """The number of a field or of a value."""
    encoding: str = ""
    """The form of a field's values in Protobuf; a field can get another type of the same form."""
    aliases: tuple[str, ...] = ()
    """The other names of the number of a value."""


_Type: Final = FieldDescriptorProto.Type
_ENCODINGS: Final = {
    _Type.TYPE_SINT32: "zigzag",
    _Type.TYPE_SINT64: "zigzag",
    _Type.TYPE_FIXED32: "32 bits",
    _Type.TYPE_SFIXED32: "32 bits",
    _Type.TYPE_FIXED64: "64 bits",
    _Type.TYPE_SFIXED64: "64 bits",
    _Type.TYPE_FLOAT: "float",
    _Type.TYPE_DOUBLE: "double",
    _Type.TYPE_STRING: "bytes",
    _Type.TYPE_BYTES: "bytes",
    _Type.TYPE_MESSAGE: "message",
    _Type.TYPE_GROUP: "group",
}
"""The encodings of types; all others are varints."""
Elements = Mapping[str, Element]
"""Elements by full name; a field has two, one with its name in JSON."""


def elements_of(files: Iterable[FileDescriptorProto]) -> Elements:
    """Collects all elements of `files`."""
    found: dict[str, Element] = {}
    for file in files:
        lines = {
            tuple(location.path): location.span[0] + 1
            for location in file.source_code_info.location
            if location.span
        }
        for place, name in named_elements(file):
            line = lines.get(place)
            found[name] = Element(file.name if line is None else f"{file.name}:{line}")
        prefix = f"{file.package}." if file.package else ""
        for message, field in _fields(prefix, file.message_type):
            encoding = _ENCODINGS.get(field.type, "varint")
            element = found[f"{message}.{field.name}"]._replace(
                number=field.number, encoding=encoding
            )
            for name in (field.name, field.json_name or field.name):
                found[f"{message}.{name}"] = element
        for enum, number, values in _numbered(prefix, file.enum_type, file.message_type):
            for name in values:
                others = tuple(one for one in values if one != name)
                element = found[f"{enum}.{name}"]._replace(number=number, aliases=others)
                found[f"{enum}.{name}"] = element
    return found


def _numbered(
    prefix: str, enums: Iterable[EnumDescriptorProto], messages: Iterable[DescriptorProto]
) -> Iterator[tuple[str, int, list[str]]]:
    """Yields the name of an enum with each number, and the names of that."""
    for enum in enums:
        names: dict[int, list[str]] = {}
        for value in enum.value:
            names.setdefault(value.number, []).append(value.name)
        yield from ((f"{prefix}{enum.name}", number, of) for number, of in names.items())
    for message in messages:
        yield from _numbered(f"{prefix}{message.name}.", message.enum_type, message.nested_type)


def _fields(
    prefix: str, messages: Iterable[DescriptorProto]
) -> Iterator[tuple[str, FieldDescriptorProto]]:
    for message in messages:
        name = f"{prefix}{message.name}"
        yield from ((name, field) for field in message.field)
        yield from _fields(f"{name}.", message.nested_type)
