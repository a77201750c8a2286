"""Leaves out of the document what `google.api.visibility` restricts (AIP-215).

A restriction is a list of labels, and an element is shown if the settings name one of them. Methods
that are left out are served all the same, and parameters of paths always stay.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from google.api import visibility_pb2
from google.protobuf.descriptor import (
    Descriptor,
    EnumDescriptor,
    EnumValueDescriptor,
    FieldDescriptor,
    FileDescriptor,
)
from google.protobuf.descriptor_pb2 import (
    EnumValueOptions,
    FieldOptions,
    MethodOptions,
    ServiceOptions,
)

from gateway.transcoding.json.message_fields import parts_of

_FILE: Final = visibility_pb2.DESCRIPTOR.name
_Read = Callable[[bytes], Any]


class Visibility:
    """Says which elements are shown."""

    def __init__(self, labels: Iterable[str]) -> None:
        self._labels = frozenset(labels)
        self._files: dict[str, bool] = {}

    def shows(self, options: tuple[bytes, bytes]) -> bool:
        """True for a method that is not hidden, by its service's options and its own."""
        of_service, of_method = options
        return self._admits(
            ServiceOptions.FromString, of_service, visibility_pb2.api_visibility
        ) and self._admits(MethodOptions.FromString, of_method, visibility_pb2.method_visibility)

    def fields(self, message: Descriptor) -> Sequence[FieldDescriptor]:
        """The fields of a message, and its extensions, that are shown."""
        found = list(parts_of(message))
        # Extensions are those of other files.
        if not (message.is_extendable or self._restricts(message.file)):
            return found
        return [
            field
            for field in found
            if self._admits(
                FieldOptions.FromString, _options(field), visibility_pb2.field_visibility
            )
        ]

    def values(self, enum: EnumDescriptor) -> Sequence[EnumValueDescriptor]:
        """The values of an enum that are shown."""
        found = list(enum.values)
        if not self._restricts(enum.file):
            return found
        return [
            value
            for value in found
            if self._admits(
                EnumValueOptions.FromString, _options(value), visibility_pb2.value_visibility
            )
        ]

    def _restricts(self, file: FileDescriptor) -> bool:
        """True if the file can have restrictions: most do not import them."""
        found = self._files.get(file.name)
        if found is None:
            found = any(one.name == _FILE for one in file.dependencies)
            self._files[file.name] = found
        return found

    def _admits(self, read: _Read, options: bytes, extension: Any) -> bool:
        """True if the options have no restriction, or one that names a label of the settings."""
        if not options:
            return True
        # The library reads options without the extensions of other pools; they are kept as bytes.
        text = read(options).Extensions[extension].restriction
        labels = {label for part in text.split(",") if (label := part.strip())}
        return not labels or not labels.isdisjoint(self._labels)


def _options(element: FieldDescriptor | EnumValueDescriptor) -> bytes:
    encoded: bytes = element.GetOptions().SerializeToString() if element.has_options else b""
    return encoded
