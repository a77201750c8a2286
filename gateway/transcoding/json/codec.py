"""Converts JSON to protobuf wire bytes and back, by the settings.

Reading is done in `reading`. Writing uses protobuf-py, the JSON library, in no other module.

A codec for another format has the same four methods: `reader`, `field_reader`, `writer`,
`field_writer`.
"""

import json
import secrets
from base64 import b64encode
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from threading import RLock
from typing import Any, cast

from google.protobuf import (
    any_pb2,
    duration_pb2,
    empty_pb2,
    field_mask_pb2,
    struct_pb2,
    timestamp_pb2,
    wrappers_pb2,
)
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2
from protobuf import DescExtension, DescMessage, Message, Registry
from protobuf._file_registry import add_file  # the public function adds a whole schema
from protobuf.wkt import FileDescriptorProto as LibraryFile

from gateway.config.json import JsonOptions, Unknown
from gateway.transcoding.any_bounds import AnyBounds
from gateway.transcoding.field_masks import (
    hide_in_wire,
    reveal_in_text,
)
from gateway.transcoding.json.contents import Contents, field_contents, message_contents
from gateway.transcoding.json.failure import json_failure
from gateway.transcoding.json.polish import Polish, default_json, indented, polish
from gateway.transcoding.json.printer import Printing, printer
from gateway.transcoding.json.reading.plans import Plans
from gateway.transcoding.json.reading.reader import FieldReader, MessageReader
from gateway.transcoding.json.type_copies import JsonName, TypeCopies, entry_fields

Transform = Callable[[bytes], bytes]
"""Converts an encoded message to the other encoding; raises `StatusError`."""

_ALWAYS_KNOWN = {
    message.full_name: message
    for module in (
        *(any_pb2, duration_pb2, empty_pb2, field_mask_pb2, struct_pb2, timestamp_pb2),
        *(wrappers_pb2, error_details_pb2),
    )
    for message in module.DESCRIPTOR.message_types_by_name.values()
}
"""Types that an Any may hold even if the schema lacks them, such as error details (AIP-193)."""


_MAX_DETAILS_BYTES = 1 << 20
"""The limit for the JSON of all details of one error."""


class Codec:
    """Makes readers and writers of message types.

    Making one loads the types it needs, so make it on first use: in a large schema most types are
    never used.
    """

    def __init__(
        self, pool: DescriptorPool, options: JsonOptions, *, json_depth: int = 100
    ) -> None:
        self._pool = pool
        self._options = options
        unknown = options.unknown_fields
        ignored = unknown if isinstance(unknown, tuple) else ()
        ignored_names = None if unknown is Unknown.IGNORE else ignored
        self._plans = Plans(self.find, ignored_names)
        self._depth = json_depth
        # Marks floats in the library's output; random, so that no back end can guess it.
        self._mark = f"_{secrets.token_hex(8)}"
        self._types = _Types(self.find, lambda field: field.json_name)
        self._marked = _Types(self.find, self._marked_name)
        self._bounds = AnyBounds(self.find)
        self._any = self.writer(any_pb2.Any.DESCRIPTOR)

    def reader(self, message: Descriptor) -> Transform:
        """Makes the reader from JSON of a message to its wire bytes."""
        return MessageReader(self._plans.message(message), self._depth).read

    def field_reader(self, field: FieldDescriptor) -> Transform:
        """Makes the reader from JSON of a field's value to a message with only that field set."""
        return FieldReader(self._plans.member(field), self._depth).read

    def writer(self, message: Descriptor) -> Transform:
        """Makes the writer from wire bytes of a message to its JSON."""
        held = message_contents(message)
        types = self._types_for(held)
        library, step = types.load(message), self._polish(held)
        return self._write(library, types, message, step, bounded=held.has_any)

    def field_writer(self, field: FieldDescriptor) -> Transform:
        """Makes the writer from wire bytes of a message to the JSON of one of its fields.

        A field that is not set has the JSON of its default: `{}` for a message, `[]` for a list.
        """
        held = field_contents(field)
        types = self._types_for(held)
        library = types.hold(field, "v", "v" + self._mark if _holds_float(field) else "v")
        step = self._polish(held)
        default = default_json(field, self._options)

        def cut(text: str) -> str:
            text = step(text) if step else text
            # The library writes {"v":...}, or {} if the field is not set.
            return text[5:-1] if text != "{}" else default

        return self._write(library, types, _owner(field), cut, bounded=held.has_any, ignore=True)

    def details_to_json(self, details: Iterable[any_pb2.Any]) -> list[dict[str, Any]]:
        """Converts each detail of an error as `any_to_json` does; never fails.

        The output has a total limit, because few bytes can become much JSON if unset fields are
        written. Details beyond the limit stay base64.
        """
        left = _MAX_DETAILS_BYTES
        documents = []
        for detail in details:
            document, size = self._any_to_json(detail.type_url, detail.value, left)
            documents.append(document)
            left -= size
        return documents

    def any_to_json(self, type_url: str, value: bytes) -> dict[str, Any]:
        """Converts an Any to a JSON object; never fails.

        The value of an unknown type, or bytes that are not of the type, stay base64 in `value`.
        """
        return self._any_to_json(type_url, value, _MAX_DETAILS_BYTES)[0]

    def _any_to_json(
        self, type_url: str, value: bytes, limit_bytes: int
    ) -> tuple[dict[str, Any], int]:
        """Converts an Any to a JSON object; returns it and the bytes it takes from the limit."""
        with suppress(Exception):  # any failure: the value stays base64
            wire = any_pb2.Any(type_url=type_url, value=value).SerializeToString()
            text = self._any(wire)
            found = json.loads(text) if len(text) <= limit_bytes else None
            if isinstance(found, dict) and "@type" in found:
                return found, len(text)
        return {"@type": type_url, "value": b64encode(value).decode()}, 0

    def find(self, name: str) -> Descriptor | None:
        """Returns the message type of this full name if an Any may hold it, else None."""
        try:
            message = self._pool.FindMessageTypeByName(name)
        except KeyError:
            return _ALWAYS_KNOWN.get(name)
        return None if message.GetOptions().map_entry else message

    def _marked_name(self, field: FieldDescriptor) -> str:
        name = field.name if self._options.proto_names else field.json_name
        return name + self._mark if _holds_float(field) else name

    def _write(
        self,
        library: type[Message],
        types: "_Types",
        message: Descriptor,
        polish_step: Polish | None,
        *,
        bounded: bool,
        ignore: bool = False,
    ) -> Transform:
        # In types with marked floats, the JSON names already follow `proto_names`.
        proto_names = self._options.proto_names and types is not self._marked
        printing = Printing(
            types.registry,
            unset=self._options.emit_unset,
            numbers=self._options.enums_as_numbers,
            proto_names=proto_names,
        )
        decode: Callable[[bytes], Message] = library.from_binary
        if ignore:
            decode = partial(library.from_binary, ignore_unknown_fields=True)
        if bounded:
            decode = self._bounded(decode, message)
        pretty = indented if self._options.pretty else None
        steps = [step for step in (polish_step, pretty) if step]
        show = printer(decode, printing, (), _unprintable)

        def show_masks(wire: bytes) -> str:
            """Writes a message whose field masks have paths that the library does not accept."""
            why = self._bounds.flaw(message, wire)
            if why is None:
                with suppress(_UnprintableError, DecodeError, ValueError):
                    hidden = hide_in_wire(message, wire, self.find)
                    return reveal_in_text(show(hidden).decode())
            raise json_failure(message, wire, self.find, why)

        return printer(decode, printing, steps, show_masks)

    def _bounded(
        self, decode: Callable[[bytes], Message], message: Descriptor
    ) -> Callable[[bytes], Message]:
        def decode_bounded(wire: bytes) -> Message:
            if self._bounds.flaw(message, wire) is not None:
                raise _UnprintableError
            return decode(wire)

        return decode_bounded

    def _types_for(self, held: Contents) -> "_Types":
        return self._marked if held.has_floats or held.has_any else self._types

    def _polish(self, held: Contents) -> Polish | None:
        floats = held.has_floats or held.has_any
        return polish(self._mark if floats else None, integers=held.has_free_json or held.has_any)


class _Types:
    """The library's classes of message types, each made on first use.

    A whole schema would take seconds and hundreds of megabytes.
    """

    def __init__(self, find: Callable[[str], Descriptor | None], json_name: JsonName) -> None:
        self._find = find
        self._made = Registry()
        self._replicas = TypeCopies(json_name)
        self._holders = 0
        # Large messages are read and written in threads; two must not make one class.
        self._lock = RLock()
        # Of a registry, the library calls only the methods below.
        self.registry = cast("Registry", self)

    def load(self, message: Descriptor) -> type[Message]:
        """Returns the library's class of `message`."""
        with self._lock:
            self._add(self._replicas.file_with(message))
            return self._class(message.full_name)

    def hold(self, field: FieldDescriptor, name: str, json_name: str) -> type[Message]:
        """Makes a class with only that field, under other names."""
        entry = entry_fields(field)
        # Load the entry of a map with the message that declares it, never alone.
        inner = (entry[1] if entry else field).message_type
        with self._lock:
            if inner is not None:
                self.load(inner)
            self._holders += 1
            holder = f"holder{self._holders}"
            self._add(self._replicas.holder(holder, field, name, json_name))
            return self._class(holder)

    def message(self, name: str) -> DescMessage | None:
        """Returns the type that an Any names."""
        found = self._find(name)
        if found is not None:
            self.load(found)
        return None if found is None else self._made.message(name)

    def extension(self, name: str) -> DescExtension | None:
        """Returns the extension that a JSON member names."""
        return self._made.extension(name)

    def extension_for(self, message: DescMessage | str, number: int) -> DescExtension | None:
        """The extension of a message with this number."""
        return self._made.extension_for(message, number)

    def _add(self, file: FileDescriptorProto | None) -> None:
        if file is not None:
            add_file(self._made, LibraryFile.from_binary(file.SerializeToString()), {})

    def _class(self, name: str) -> type[Message]:
        made = self._made.message(name)
        assert made is not None  # noqa: S101 # it has just been added
        return made.type


def _owner(field: FieldDescriptor) -> Descriptor:
    """Returns the message that declares a field."""
    assert field.containing_type is not None  # noqa: S101 # every field has one
    return field.containing_type


class _UnprintableError(Exception):
    """The library cannot print a message; the reason is searched only when it is needed."""


def _unprintable(_wire: bytes) -> str:
    raise _UnprintableError


def _holds_float(field: FieldDescriptor) -> bool:
    """True if the JSON of this field is a 32-bit float, or a list or map of them."""
    entry = entry_fields(field)
    if entry is not None:
        return _holds_float(entry[1])
    inner = field.message_type
    wrapped = inner is not None and inner.full_name == "google.protobuf.FloatValue"
    return wrapped or field.type == FieldDescriptor.TYPE_FLOAT
