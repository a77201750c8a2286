"""The comments of .proto files, by the full name of what they describe.

Descriptor pools drop source information, so comments are collected from the descriptor set. They
are kept compressed: those of a large API set take tens of megabytes as text.
"""

import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumValueDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    MethodDescriptorProto,
)

_Place = tuple[int, ...]
"""A path from a file to an element, in field numbers and indexes (descriptor.proto)."""
_Part = FieldDescriptorProto | EnumValueDescriptorProto | MethodDescriptorProto
# The field numbers of descriptor.proto that lead to elements.
_MESSAGES, _ENUMS, _SERVICES = 4, 5, 6
_FIELDS, _NESTED_MESSAGES, _NESTED_ENUMS = 2, 3, 4
_VALUES = 2
_METHODS = 2


class Comments:
    """The leading comments of a descriptor set, or its trailing ones where none lead."""

    def __init__(self, of_files: Iterable[tuple[str, Mapping[str, str]]] = ()) -> None:
        # Each file alone: few files are read for a part of a large API, and what is unpacked at
        # once stays small, and so does the time of it.
        self._packed = {file: _pack(texts) for file, texts in of_files if texts}

    def read(self, files: Iterable[str]) -> dict[str, str]:
        """Returns the comments of these files by full name, without slashes; a value of an enum
        has the name of its enum before its own.
        """
        found: dict[str, str] = {}
        for file in files:
            packed = self._packed.get(file)
            if packed is not None:
                parts = zlib.decompress(packed).decode().split(_BETWEEN)
                found |= zip(parts[::2], parts[1::2], strict=True)
        return found


_BETWEEN: Final = "\0"


def _pack(texts: Mapping[str, str]) -> bytes:
    parts = [part for name, text in texts.items() for part in (name, text.replace(_BETWEEN, ""))]
    return zlib.compress(_BETWEEN.join(parts).encode(), 1)


NO_COMMENTS = Comments()


def collect_comments(files: Iterable[FileDescriptorProto]) -> Comments:
    """Collects the comments of all elements; files without source information have none."""
    return Comments((file.name, _comments_of(file)) for file in files)


def _comments_of(file: FileDescriptorProto) -> Mapping[str, str]:
    texts = {
        tuple(location.path): location.leading_comments or location.trailing_comments
        for location in file.source_code_info.location
        if location.leading_comments or location.trailing_comments
    }
    if not texts:
        return {}
    named = ((name, texts.get(place)) for place, name in named_elements(file))
    return {name: text for name, text in named if text}


def named_elements(file: FileDescriptorProto) -> Iterator[tuple[_Place, str]]:
    """Yields the place and the full name of each element of a file."""
    prefix = f"{file.package}." if file.package else ""
    for at, message in enumerate(file.message_type):
        yield from _names_in_message((_MESSAGES, at), prefix, message)
    for at, enum in enumerate(file.enum_type):
        yield from _with_parts((_ENUMS, at), f"{prefix}{enum.name}", _VALUES, enum.value)
    for at, service in enumerate(file.service):
        name = f"{prefix}{service.name}"
        yield from _with_parts((_SERVICES, at), name, _METHODS, service.method)


def _names_in_message(
    place: _Place, prefix: str, message: DescriptorProto
) -> Iterator[tuple[_Place, str]]:
    name = f"{prefix}{message.name}"
    yield from _with_parts(place, name, _FIELDS, message.field)
    for at, enum in enumerate(message.enum_type):
        yield from _with_parts(
            (*place, _NESTED_ENUMS, at), f"{name}.{enum.name}", _VALUES, enum.value
        )
    for at, nested in enumerate(message.nested_type):
        yield from _names_in_message((*place, _NESTED_MESSAGES, at), f"{name}.", nested)


def _with_parts(
    place: _Place, name: str, kind: int, parts: Iterable[_Part]
) -> Iterator[tuple[_Place, str]]:
    """Yields an element and its parts: fields, values of an enum, or methods."""
    yield place, name
    for at, part in enumerate(parts):
        yield (*place, kind, at), f"{name}.{part.name}"
