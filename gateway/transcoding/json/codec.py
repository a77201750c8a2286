"""JSON to protobuf wire bytes and back, with our options in one place.

The only module that knows protobuf-py, the JSON library underneath, so it can be replaced by a
faster one. Reading is "fast accept, slow explain": the library's strict parser decides at once, and
only a body it refuses, or one whose text looks like something it is too lax about, is looked at by
the checker of `protojson`, which words every error.

A codec for another wire format would offer the same four makers: `reader`, `field_reader`,
`writer`, `field_writer`.
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
from protobuf._file_registry import add_file  # the public way makes a registry of a whole schema
from protobuf.wkt import FileDescriptorProto as LibraryFile

from gateway.config.model import JsonOptions, Unknown
from gateway.status import invalid_argument
from gateway.transcoding.any_bounds import AnyBounds
from gateway.transcoding.field_masks import (
    has_hidden,
    hide_in_wire,
    reveal_in_text,
    reveal_in_wire,
)
from gateway.transcoding.json.checker import Checker, has_own_form
from gateway.transcoding.json.failure import json_failure
from gateway.transcoding.json.lax_spellings import (
    Contents,
    SpellingTest,
    field_contents,
    lax_spelling_test,
    message_contents,
)
from gateway.transcoding.json.polish import Polish, default_json, indented, polish
from gateway.transcoding.json.printer import Printing, printer
from gateway.transcoding.json.report import At, Check, run
from gateway.transcoding.json.text import check_depth, dump, parse
from gateway.transcoding.json.type_copies import JsonName, TypeCopies, entry_fields

Transform = Callable[[bytes], bytes]
"""Takes one encoded message, gives the other encoding; raises `StatusError`."""

_ALWAYS_KNOWN = {
    message.full_name: message
    for module in (
        *(any_pb2, duration_pb2, empty_pb2, field_mask_pb2, struct_pb2, timestamp_pb2),
        *(wrappers_pb2, error_details_pb2),
    )
    for message in module.DESCRIPTOR.message_types_by_name.values()
}
"""What an Any may hold although the schema does not have it: error details (AIP-193) above all."""


_MAX_DETAILS_BYTES = 1 << 20
"""How much JSON the details of one error may be in all."""


class Codec:
    """Makes readers and writers of message types.

    Making one brings in the types it needs, so ask when it is first wanted: of a large schema most
    types never are.
    """

    def __init__(
        self, pool: DescriptorPool, options: JsonOptions, *, json_depth: int = 100
    ) -> None:
        self._pool = pool
        self._options = options
        self._depth = json_depth
        unknown = options.unknown_fields
        ignored = unknown if isinstance(unknown, tuple) else ()
        self._checker = Checker(self.find, None if unknown is Unknown.IGNORE else ignored)
        # No client can guess it: it marks floats in what the library writes, and names the one
        # member of a holder, so that a body can neither repeat that member nor add another.
        self._mark = f"_{secrets.token_hex(8)}"
        self._types = _Types(self.find, lambda field: field.json_name)
        self._marked = _Types(self.find, self._marked_name)
        self._bounds = AnyBounds(self.find)
        self._any = self.writer(any_pb2.Any.DESCRIPTOR)

    def reader(self, message: Descriptor) -> Transform:
        """JSON of a message to its wire bytes."""
        library, depth = self._types.load(message), self._depth
        held = message_contents(message)
        doubt = self._doubt(held, message)
        # With a registry the library takes the extensions of any message in any other.
        registry = self._types.registry if held.open else None
        decode = partial(library.from_json, registry=registry)
        check = self._checker.message(message)
        explain = self._explainer(decode, check, message, message.full_name, None)

        def read(body: bytes) -> bytes:
            check_depth(body, depth)  # first, for the library recurses without end
            try:
                wire = decode(body).to_binary()
            except Exception:  # noqa: BLE001 # whatever the library says, our checker says it better
                return explain(body, None)
            return explain(body, wire) if doubt(body) else wire

        return read

    def field_reader(self, field: FieldDescriptor) -> Transform:
        """JSON of a field's value to the wire bytes of a message with only that field set."""
        library, depth = self._types.hold(field, self._mark, self._mark), self._depth
        held = field_contents(field)
        doubt = self._doubt(held, field.message_type)
        registry = self._types.registry if held.open else None
        opening = f'{{"{self._mark}":'.encode()
        named = f'"{field.name}":'.encode()

        def decode(body: bytes) -> Message:
            return library.from_json(opening + body + b"}", registry=registry)

        check = self._checker.field_or_null(field)
        at = (None, field.json_name)
        explain = self._explainer(decode, check, _owner(field), field.full_name, at)

        def read(body: bytes) -> bytes:
            check_depth(body, depth)  # first, for the library recurses without end
            try:
                wire = decode(body).to_binary()
            except Exception:  # noqa: BLE001 # whatever the library says, our checker says it better
                return explain(body, None)
            # As a member, so that the value is seen to belong to the field.
            return explain(body, wire) if doubt(named + body) else wire

        return read

    def writer(self, message: Descriptor) -> Transform:
        """Wire bytes of a message to its JSON."""
        held = message_contents(message)
        types = self._types_for(held)
        library, tidy = types.load(message), self._polish(held)
        return self._write(library, types, message, tidy, bounded=held.anys)

    def field_writer(self, field: FieldDescriptor) -> Transform:
        """Wire bytes of the message a field is in to the JSON of that field's value.

        A field that is not set has the JSON of its default: `{}` for a message, `[]` for a list.
        """
        held = field_contents(field)
        types = self._types_for(held)
        library = types.hold(field, "v", "v" + self._mark if _holds_float(field) else "v")
        tidy = self._polish(held)
        default = default_json(field, self._options)

        def cut(text: str) -> str:
            text = tidy(text) if tidy else text
            # What is written is {"v":...}, or {} where the field is not set.
            return text[5:-1] if text != "{}" else default

        return self._write(library, types, _owner(field), cut, bounded=held.anys, ignore=True)

    def details_to_json(self, details: Iterable[any_pb2.Any]) -> list[dict[str, Any]]:
        """Each detail of an error as `any_to_json` has it; never fails.

        What is shown has a bound in all: a few bytes can stand for many where unset fields are
        shown. Details beyond it stay base64.
        """
        left = _MAX_DETAILS_BYTES
        shown = []
        for detail in details:
            document, size = self._any_to_json(detail.type_url, detail.value, left)
            shown.append(document)
            left -= size
        return shown

    def any_to_json(self, type_url: str, value: bytes) -> dict[str, Any]:
        """An Any as a JSON object; never fails.

        A type nobody knows, or bytes that are not of the type, stay base64 in `value`.
        """
        return self._any_to_json(type_url, value, _MAX_DETAILS_BYTES)[0]

    def _any_to_json(
        self, type_url: str, value: bytes, limit_bytes: int
    ) -> tuple[dict[str, Any], int]:
        """An Any as a JSON object, and how many bytes of the limit it takes."""
        with suppress(Exception):  # whatever it is that keeps it from being shown
            wire = any_pb2.Any(type_url=type_url, value=value).SerializeToString()
            text = self._any(wire)
            found = json.loads(text) if len(text) <= limit_bytes else None
            if isinstance(found, dict) and "@type" in found:
                return found, len(text)
        return {"@type": type_url, "value": b64encode(value).decode()}, 0

    def find(self, name: str) -> Descriptor | None:
        """The message type of this full name, if an Any may hold it."""
        try:
            message = self._pool.FindMessageTypeByName(name)
        except KeyError:
            return _ALWAYS_KNOWN.get(name)
        return None if message.GetOptions().map_entry else message

    def _marked_name(self, field: FieldDescriptor) -> str:
        name = field.name if self._options.proto_names else field.json_name
        return name + self._mark if _holds_float(field) else name

    def _explainer(
        self,
        decode: Callable[[bytes], Message],
        check: Check,
        message: Descriptor,
        name: str,
        at: At,
    ) -> Callable[[bytes, bytes | None], bytes]:
        """What settles the bodies the library refused or that raise doubts."""

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

    def _doubt(self, held: Contents, message: Descriptor | None) -> SpellingTest:
        if message is not None and has_own_form(message):
            return _always
        return lax_spelling_test(held)

    def _write(
        self,
        library: type[Message],
        types: "_Types",
        message: Descriptor,
        tidy: Polish | None,
        *,
        bounded: bool,
        ignore: bool = False,
    ) -> Transform:
        # Where floats are marked, the JSON names are already those wanted.
        proto_names = self._options.proto_names and types is not self._marked
        how = Printing(
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
        steps = [step for step in (tidy, indented if self._options.pretty else None) if step]
        show = printer(decode, how, (), _unprintable)

        def show_masks(wire: bytes) -> str:
            """The JSON of a message in whose masks are paths that the library does not know."""
            why = self._bounds.flaw(message, wire)
            if why is None:
                with suppress(_UnprintableError, DecodeError, ValueError):
                    hidden = hide_in_wire(message, wire, self.find)
                    return reveal_in_text(show(hidden).decode())
            raise json_failure(message, wire, self.find, why)

        return printer(decode, how, steps, show_masks)

    def _bounded(
        self, decode: Callable[[bytes], Message], message: Descriptor
    ) -> Callable[[bytes], Message]:
        def decode_bounded(wire: bytes) -> Message:
            if self._bounds.flaw(message, wire) is not None:
                raise _UnprintableError
            return decode(wire)

        return decode_bounded

    def _types_for(self, held: Contents) -> "_Types":
        return self._marked if held.floats or held.anys else self._types

    def _polish(self, held: Contents) -> Polish | None:
        floats = held.floats or held.anys
        return polish(self._mark if floats else None, integers=held.free or held.anys)


class _Types:
    """The library's classes of message types, each made when it is first needed.

    A whole schema would take seconds and hundreds of megabytes.
    """

    def __init__(self, find: Callable[[str], Descriptor | None], json_name: JsonName) -> None:
        self._find = find
        self._made = Registry()
        self._replicas = TypeCopies(json_name)
        self._holders = 0
        # Large messages are read and written in threads; two must not make one class.
        self._lock = RLock()
        # The library asks a registry only the three questions answered below.
        self.registry = cast("Registry", self)

    def load(self, message: Descriptor) -> type[Message]:
        """The library's class of `message`."""
        with self._lock:
            self._add(self._replicas.file_with(message))
            return self._class(message.full_name)

    def hold(self, field: FieldDescriptor, name: str, json_name: str) -> type[Message]:
        """A class with that field alone, under other names."""
        entry = entry_fields(field)
        # A map's entry must come with the message it is declared in, never alone.
        inner = (entry[1] if entry else field).message_type
        with self._lock:
            if inner is not None:
                self.load(inner)
            self._holders += 1
            holder = f"holder{self._holders}"
            self._add(self._replicas.holder(holder, field, name, json_name))
            return self._class(holder)

    def message(self, name: str) -> DescMessage | None:
        """The type an Any names."""
        found = self._find(name)
        if found is not None:
            self.load(found)
        return None if found is None else self._made.message(name)

    def extension(self, name: str) -> DescExtension | None:
        """The extension a JSON member names."""
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
    """The message a field is declared in."""
    assert field.containing_type is not None  # noqa: S101 # every field has one
    return field.containing_type


class _UnprintableError(Exception):
    """A message that the library cannot print; why is found out only where it is of interest."""


def _unprintable(_wire: bytes) -> str:
    raise _UnprintableError


def _always(_body: bytes) -> bool:
    return True


def _holds_float(field: FieldDescriptor) -> bool:
    """Whether the JSON of this field itself is one 32-bit float, a list or a map of them."""
    entry = entry_fields(field)
    if entry is not None:
        return _holds_float(entry[1])
    inner = field.message_type
    wrapped = inner is not None and inner.full_name == "google.protobuf.FloatValue"
    return wrapped or field.type == FieldDescriptor.TYPE_FLOAT
