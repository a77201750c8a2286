"""The places of elements in .proto files, and the numbers of fields."""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

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
    """The number of a field."""
    aliases: tuple[str, ...] = ()
    """The other names of the number of a value."""


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
            element = found[f"{message}.{field.name}"]._replace(number=field.number)
            for name in (field.name, field.json_name or field.name):
                found[f"{message}.{name}"] = element
        for enum, values in _aliased(prefix, file.enum_type, file.message_type):
            for name in values:
                others = tuple(one for one in values if one != name)
                found[f"{enum}.{name}"] = found[f"{enum}.{name}"]._replace(aliases=others)
    return found


def _aliased(
    prefix: str, enums: Iterable[EnumDescriptorProto], messages: Iterable[DescriptorProto]
) -> Iterator[tuple[str, list[str]]]:
    """Yields the name of an enum with the names of one number, if there are several."""
    for enum in enums:
        names: dict[int, list[str]] = {}
        for value in enum.value:
            names.setdefault(value.number, []).append(value.name)
        yield from ((f"{prefix}{enum.name}", one) for one in names.values() if len(one) > 1)
    for message in messages:
        yield from _aliased(f"{prefix}{message.name}.", message.enum_type, message.nested_type)


def _fields(
    prefix: str, messages: Iterable[DescriptorProto]
) -> Iterator[tuple[str, FieldDescriptorProto]]:
    for message in messages:
        name = f"{prefix}{message.name}"
        yield from ((name, field) for field in message.field)
        yield from _fields(f"{name}.", message.nested_type)
