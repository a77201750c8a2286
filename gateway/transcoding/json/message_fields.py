"""The fields of message types, as their JSON has them."""

from collections.abc import Iterator

from google.protobuf.descriptor import Descriptor, FieldDescriptor


def parts_of(message: Descriptor) -> Iterator[FieldDescriptor]:
    """Yields the fields of a message and every extension of it in its pool, by number."""
    yield from message.fields
    if message.is_extendable:
        extensions = message.file.pool.FindAllExtensions(message)
        yield from sorted(extensions, key=lambda extension: extension.number)


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
