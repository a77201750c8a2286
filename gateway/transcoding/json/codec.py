"""Converts JSON to protobuf wire bytes and back, by the settings.

Writing is in `writer`. Reading uses protobuf-py, the JSON library, in this module alone, so that
another can replace it. It is "fast accept, slow explain": the library's parser reads a body first.
Only a body that it rejects, or whose text may contain a spelling about which it is too lax, goes
through `checker`, which words every error.

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
from google.rpc import error_details_pb2
from protobuf import DescExtension, DescMessage, Message, Registry
from protobuf._file_registry import add_file  # the public function adds a whole schema
from protobuf.wkt import FileDescriptorProto as LibraryFile

from gateway.config.json import JsonOptions, Unknown
from gateway.status import invalid_argument
from gateway.transcoding.field_masks import has_hidden, may_be_too_long, reveal_in_wire
from gateway.transcoding.json.checker import Checker, has_own_form
from gateway.transcoding.json.lax_spellings import (
    Contents,
    SpellingTest,
    field_contents,
    lax_spelling_test,
    message_contents,
)
from gateway.transcoding.json.report import At, Check, run
from gateway.transcoding.json.text import check_depth, dump, parse
from gateway.transcoding.json.type_copies import TypeCopies, entry_fields
from gateway.transcoding.json.writer import JsonWriter

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
        self._depth = json_depth
        unknown = options.unknown_fields
        ignored = unknown if isinstance(unknown, tuple) else ()
        self._checker = Checker(self.find, None if unknown is Unknown.IGNORE else ignored)
        # A random mark, so that no client can guess it. It names the only member of a holder: a
        # body can neither repeat that member nor add another.
        self._mark = f"_{secrets.token_hex(8)}"
        self._types = _Types(self.find)
        self._writer = JsonWriter(self.find, options)
        self._any = self.writer(any_pb2.Any.DESCRIPTOR)

    def reader(self, message: Descriptor) -> Transform:
        """Makes the reader from JSON of a message to its wire bytes."""
        library, depth = self._types.load(message), self._depth
        held = message_contents(message)
        needs_check, masks = self._spelling_test(held, message), held.has_masks
        # Pass a registry only if needed: with one, the library accepts any message's extensions.
        registry = self._types.registry if held.has_unlisted_types else None
        decode = partial(library.from_json, registry=registry)
        check = self._checker.message(message)
        explain = self._explainer(decode, check, message, message.full_name, None)

        def read(body: bytes) -> bytes:
            check_depth(body, depth)  # first, for the library recurses without end
            if masks and may_be_too_long(body):
                return explain(body, None)
            try:
                wire = decode(body).to_binary()
            except Exception:  # noqa: BLE001 # of any kind; `explain` words the error
                return explain(body, None)
            return explain(body, wire) if needs_check(body) else wire

        return read

    def field_reader(self, field: FieldDescriptor) -> Transform:
        """Makes the reader from JSON of a field's value to a message with only that field set."""
        library, depth = self._types.hold(field, self._mark), self._depth
        held = field_contents(field)
        needs_check, masks = self._spelling_test(held, field.message_type), held.has_masks
        registry = self._types.registry if held.has_unlisted_types else None
        opening = f'{{"{self._mark}":'.encode()
        named = f'"{field.name}":'.encode()

        def decode(body: bytes) -> Message:
            return library.from_json(opening + body + b"}", registry=registry)

        check = self._checker.field_or_null(field)
        at = (None, field.json_name)
        explain = self._explainer(decode, check, _owner(field), field.full_name, at)

        def read(body: bytes) -> bytes:
            check_depth(body, depth)  # first, for the library recurses without end
            if masks and may_be_too_long(body):
                return explain(body, None)
            try:
                wire = decode(body).to_binary()
            except Exception:  # noqa: BLE001 # of any kind; `explain` words the error
                return explain(body, None)
            # Test the value as a member, so that it is found under the field's name.
            return explain(body, wire) if needs_check(named + body) else wire

        return read

    def writer(self, message: Descriptor) -> Transform:
        """Makes the writer from wire bytes of a message to its JSON."""
        return self._writer.message(message)

    def field_writer(self, field: FieldDescriptor) -> Transform:
        """Makes the writer from wire bytes of a message to the JSON of one of its fields.

        A field that is not set has the JSON of its default: `{}` for a message, `[]` for a list.
        """
        return self._writer.field(field)

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

    def _explainer(
        self,
        decode: Callable[[bytes], Message],
        check: Check,
        message: Descriptor,
        name: str,
        at: At,
    ) -> Callable[[bytes, bytes | None], bytes]:
        """Makes the slow path for bodies that the library rejects or that need the strict check."""

        def explain(body: bytes, wire: bytes | None) -> bytes:
            tree, changed = run(check, parse(body, depth=self._depth), at)
            if wire is not None and not changed:
                return wire
            try:
                text = dump(tree)
                wire = decode(text.encode()).to_binary()
                return reveal_in_wire(message, wire, self.find) if has_hidden(text) else wire
            except Exception:  # noqa: BLE001 # the library's words are not for clients
                raise invalid_argument("", f"the body is not a {name} in JSON") from None

        return explain

    def _spelling_test(self, held: Contents, message: Descriptor | None) -> SpellingTest:
        if message is not None and has_own_form(message):
            return _always
        return lax_spelling_test(held)


class _Types:
    """The library's classes of message types, each made on first use.

    A whole schema would take seconds and hundreds of megabytes.
    """

    def __init__(self, find: Callable[[str], Descriptor | None]) -> None:
        self._find = find
        self._made = Registry()
        self._replicas = TypeCopies()
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

    def hold(self, field: FieldDescriptor, name: str) -> type[Message]:
        """Makes a class with only that field, under another name."""
        entry = entry_fields(field)
        # Load the entry of a map with the message that declares it, never alone.
        inner = (entry[1] if entry else field).message_type
        with self._lock:
            if inner is not None:
                self.load(inner)
            self._holders += 1
            holder = f"holder{self._holders}"
            self._add(self._replicas.holder(holder, field, name))
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


def _always(_body: bytes) -> bool:
    return True
