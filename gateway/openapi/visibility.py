"""Leaves out of the document what `google.api.visibility` restricts (AIP-215).

A restriction is a list of labels, and an element is shown if the settings name one of them. With a
type, what is inside it and what has it as a type is left out: fields, and methods whose request or
reply it is. Methods that are left out are served all the same, and parameters of paths always stay.
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
    EnumOptions,
    EnumValueOptions,
    FieldOptions,
    MessageOptions,
    MethodOptions,
    ServiceOptions,
)

from gateway.transcoding.binding import Binding
from gateway.transcoding.json.message_fields import parts_of

_FILE: Final = visibility_pb2.DESCRIPTOR.name
_Read = Callable[[bytes], Any]


class Visibility:
    """Says which elements are shown."""

    def __init__(self, labels: Iterable[str]) -> None:
        self._labels = frozenset(labels)
        self._files: dict[str, bool] = {}
        self._reaching: dict[str, bool] = {}
        self._types: dict[Descriptor | EnumDescriptor, bool] = {}

    def shown(self, bindings: Iterable[Binding]) -> list[Binding]:
        """The bindings of methods that are shown, with the bodies and replies that they have."""
        return [one for one in bindings if self._shows_method(one) and self._shows_bodies(one)]

    def _shows_method(self, binding: Binding) -> bool:
        """True for a method that is not hidden, by its service's options and its own."""
        of_service, of_method = binding.method.options
        return self._admits(
            ServiceOptions.FromString, of_service, visibility_pb2.api_visibility
        ) and self._admits(MethodOptions.FromString, of_method, visibility_pb2.method_visibility)

    def _shows_bodies(self, binding: Binding) -> bool:
        """True if neither a message of the method nor the type of a field as body is hidden."""
        fields = (binding.body, binding.response_body)
        types = (binding.method.input, binding.method.output)
        return all(self.shows_type(one) for one in types) and all(
            self.shows_value(one) for one in fields if isinstance(one, FieldDescriptor)
        )

    def shows_value(self, field: FieldDescriptor) -> bool:
        """True if the type of a field is shown; of a map, that of its values."""
        found = field.message_type or field.enum_type
        if isinstance(found, Descriptor) and found.has_options and found.GetOptions().map_entry:
            return self.shows_value(found.fields_by_name["value"])
        return found is None or self.shows_type(found)

    def shows_type(self, found: Descriptor | EnumDescriptor) -> bool:
        """True for a message or enum that is not hidden, and is in none that is."""
        if not self._restricts(found.file):
            return True
        is_shown = self._types.get(found)
        if is_shown is None:
            is_shown = self._types[found] = self._shows_type(found)
        return is_shown

    def _shows_type(self, found: Descriptor | EnumDescriptor) -> bool:
        if found.containing_type is not None and not self.shows_type(found.containing_type):
            return False
        if isinstance(found, Descriptor):
            return self._admits(
                MessageOptions.FromString, _options(found), visibility_pb2.message_visibility
            )
        return self._admits(EnumOptions.FromString, _options(found), visibility_pb2.enum_visibility)

    def fields(self, message: Descriptor) -> Sequence[FieldDescriptor]:
        """The fields of a message, and its extensions, that are shown."""
        found = list(parts_of(message))
        # Extensions are those of other files.
        is_restricted = message.is_extendable or self._restricts(message.file)
        if not (is_restricted or self._reaches(message.file)):
            return found
        return [
            field
            for field in found
            if self.shows_value(field)
            and (
                not is_restricted
                or self._admits(
                    FieldOptions.FromString, _options(field), visibility_pb2.field_visibility
                )
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

    def _reaches(self, file: FileDescriptor) -> bool:
        """True if the types of fields in a file can have restrictions."""
        found = self._reaching.get(file.name)
        if found is None:
            imported = file.dependencies
            found = any(self._restricts(one) or self._reaches(one) for one in imported)
            self._reaching[file.name] = found
        return found

    def _admits(self, read: _Read, options: bytes, extension: Any) -> bool:
        """True if the options have no restriction, or one that names a label of the settings."""
        if not options:
            return True
        # The library reads options without the extensions of other pools; they are kept as bytes.
        text = read(options).Extensions[extension].restriction
        labels = {label for part in text.split(",") if (label := part.strip())}
        return not labels or not labels.isdisjoint(self._labels)


def _options(
    element: Descriptor | EnumDescriptor | FieldDescriptor | EnumValueDescriptor,
) -> bytes:
    encoded: bytes = element.GetOptions().SerializeToString() if element.has_options else b""
    return encoded
