"""Copies message types for the JSON library, one closure of types at a time.

A copy has the same wire format and JSON form, but in a way that makes the library follow ProtoJSON
(protobuf.dev, "ProtoJSON Format"): every JSON name is explicit, the first of an enum's aliases is
printed, and `required` is not enforced, because the URL may add the field later. All features are
resolved, so that messages of any syntax share one file of edition 2023.

Only the types that a message needs are copied: a schema can have a hundred times more.
"""

from collections.abc import Iterator

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    Edition,
    EnumDescriptorProto,
    FeatureSet,
    FieldDescriptorProto,
    FileDescriptorProto,
)


def parts_of(message: Descriptor) -> Iterator[FieldDescriptor]:
    """Yields the fields of a message and every extension of it in its pool."""
    yield from message.fields
    if message.is_extendable:
        yield from message.file.pool.FindAllExtensions(message)


def closure(message: Descriptor, known: set[str]) -> list[Descriptor]:
    """Returns `message` and all types below it that are not `known`; adds them to `known`."""
    found: list[Descriptor] = []
    waiting = [message]
    while waiting:
        each = waiting.pop()
        if each.full_name not in known:
            known.add(each.full_name)
            found.append(each)
            waiting += [part.message_type for part in parts_of(each) if part.message_type]
    return found


def entry_fields(field: FieldDescriptor) -> tuple[FieldDescriptor, FieldDescriptor] | None:
    """Returns the key and the value field of a map, or None for another field."""
    entry = field.message_type
    if entry is None or not entry.GetOptions().map_entry:
        return None
    return entry.fields_by_name["key"], entry.fields_by_name["value"]


WRAPPERS = frozenset(
    f"google.protobuf.{name}Value"
    for name in ("Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes")
)
"""The messages of google/protobuf/wrappers.proto, whose JSON is that of their only field."""


class TypeCopies:
    """Makes files of copies, and remembers the types already copied."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._files = 0

    def file_with(self, message: Descriptor) -> FileDescriptorProto | None:
        """Makes a file of the types that `message` needs and no earlier file has; None if none."""
        new = closure(message, self._known)
        if not new:
            return None
        file = self._file()
        for each in new:
            self._add_message(file, each)
        return file

    def holder(self, holder: str, field: FieldDescriptor, name: str) -> FileDescriptorProto:
        """Makes a file of one message, `holder`, with only a copy of `field`, named `name`."""
        file = self._file()
        message = file.message_type.add(name=holder)
        copy = message.field.add(name=name, json_name=name)
        self._describe(copy, field, file)
        if field.message_type is not None and entry_fields(field):
            # Copy the entry too: the library recognises a map by its entry in the same file.
            copy.type_name = f".{holder}.Entry"
            self._add_message(file, field.message_type, f"{holder}.Entry")
        return file

    def _file(self) -> FileDescriptorProto:
        self._files += 1
        # Use this directory: the library treats google.protobuf.* as well-known only there.
        name = f"google/protobuf/replica{self._files}"
        return FileDescriptorProto(name=name, syntax="editions", edition=Edition.EDITION_2023)

    def _add_message(
        self, file: FileDescriptorProto, message: Descriptor, name: str | None = None
    ) -> None:
        # Without a package, a dotted name is a full name: nested types need no parent.
        copy = file.message_type.add(name=name or message.full_name)
        if message.GetOptions().map_entry:
            copy.options.map_entry = True
        oneofs = _copy_oneofs(copy, message)
        for field in message.fields:
            field_copy = copy.field.add(name=field.name, json_name=field.json_name)
            if field.containing_oneof and field.containing_oneof.name in oneofs:
                field_copy.oneof_index = oneofs[field.containing_oneof.name]
            self._describe(field_copy, field, file)
        for extension in parts_of(message):
            if extension.is_extension:
                extension_copy = file.extension.add(name=extension.full_name)
                extension_copy.extendee = f".{message.full_name}"
                self._describe(extension_copy, extension, file)

    def _describe(
        self, copy: FieldDescriptorProto, field: FieldDescriptor, file: FileDescriptorProto
    ) -> None:
        copy.number = field.number
        copy.type = field.type  # type: ignore[assignment] # the same numbers under another name
        many = field.is_repeated
        copy.label = copy.LABEL_REPEATED if many else copy.LABEL_OPTIONAL
        if many:
            copy.options.packed = field.is_packed
        elif not copy.HasField("oneof_index"):
            copy.options.features.field_presence = (
                FeatureSet.EXPLICIT if field.has_presence else FeatureSet.IMPLICIT
            )
        if field.message_type:
            copy.type_name = f".{field.message_type.full_name}"
        elif field.enum_type:
            copy.type_name = f".{field.enum_type.full_name}"
            self._add_enum(file, field.enum_type)

    def _add_enum(self, file: FileDescriptorProto, enum: EnumDescriptor) -> None:
        if enum.full_name in self._known:
            return
        self._known.add(enum.full_name)
        copy = file.enum_type.add(name=enum.full_name)
        if enum.is_closed:
            copy.options.features.enum_type = FeatureSet.CLOSED
        _copy_values(copy, enum)


def _copy_oneofs(copy: DescriptorProto, message: Descriptor) -> dict[str, int]:
    """Copies the oneofs with more than one member; returns the index of each in `copy`.

    A oneof with one member, such as that of a proto3 `optional`, only means presence.
    """
    names = [oneof.name for oneof in message.oneofs if len(oneof.fields) > 1]
    for name in names:
        copy.oneof_decl.add(name=name)
    return {name: index for index, name in enumerate(names)}


def _copy_values(copy: EnumDescriptorProto, enum: EnumDescriptor) -> None:
    """Copies values with the first name of each number last, which the library prints."""
    names: dict[int, list[str]] = {}
    for value in enum.values:
        names.setdefault(value.number, []).append(value.name)
    for value in enum.values:
        copy.value.add(name=names[value.number].pop(), number=value.number)
