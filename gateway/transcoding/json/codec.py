"""Converts JSON to protobuf wire bytes and back, by the settings.

Reading is in `reading`, writing in `writer`: both by plans, one for each message type.

A codec for another format has the same four methods: `reader`, `field_reader`, `writer`,
`field_writer`.
"""

import json
from base64 import b64encode
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any, Final

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
from google.protobuf.descriptor_pool import DescriptorPool
from google.rpc import error_details_pb2

from gateway.config.json import EnumCase, JsonOptions, Unknown
from gateway.transcoding.json.native import native_module
from gateway.transcoding.json.reading.native import NativeReaders
from gateway.transcoding.json.reading.plans import Plans
from gateway.transcoding.json.reading.reader import FieldReader, MessageReader
from gateway.transcoding.json.writing.drafts import ANY_NUMBER
from gateway.transcoding.json.writing.native import native_writer
from gateway.transcoding.json.writing.writer import JsonWriter
from gateway.transcoding.selections import Selection
from gateway.transcoding.system_parameters import JsonForm

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


USUAL_DETAILS: Final = frozenset(
    f"type.googleapis.com/{message.full_name}"
    for message in error_details_pb2.DESCRIPTOR.message_types_by_name.values()
)
"""The types of google/rpc/error_details.proto, which have no floats."""
MAX_DETAILS_BYTES: Final = 1 << 20
"""The limit for the JSON of all details of one error."""
MOST_DETAILS: Final = 1000
"""The details of one error that are converted; 24,000 empty ones fit into 64 KiB of trailers."""


class Codec:
    """Makes readers and writers of message types.

    Making one makes the plans of the types below it as they are first used: in a large schema most
    types are never used.
    """

    def __init__(
        self,
        pool: DescriptorPool,
        options: JsonOptions,
        *,
        json_depth: int = 100,
        most_values: int = ANY_NUMBER,
    ) -> None:
        """`json_depth` limits what is read, `most_values` the values of a message to write."""
        self._pool = pool
        self._options = options
        self._forms: dict[JsonForm, Codec] = {}
        self._depth = json_depth
        unknown = options.unknown_fields
        ignored = unknown if isinstance(unknown, tuple) else ()
        self._plans = Plans(
            self.find,
            None if unknown is Unknown.IGNORE else ignored,
            ignores_case=options.enum_case is EnumCase.IGNORE,
        )
        module = native_module()
        self._readers = None if module is None else NativeReaders(module, json_depth)
        self._most_values = most_values
        self._definition = JsonWriter(self.find, options, most_values)
        native = native_writer(self._definition.plans, most_values, pretty=options.pretty)
        self._writer = self._definition if native is None else native
        self.write_any = self.writer(any_pb2.Any.DESCRIPTOR)
        """Converts an Any."""

    def reader(self, message: Descriptor) -> Transform:
        """Makes the reader from JSON of a message to its wire bytes."""
        plan = self._plans.message(message)
        read = MessageReader(plan, self._depth).read
        return read if self._readers is None else self._readers.reader(plan, read)

    def field_reader(self, field: FieldDescriptor) -> Transform:
        """Makes the reader from JSON of a field's value to a message with only that field set."""
        member = self._plans.member(field)
        read = FieldReader(member, self._depth).read
        return read if self._readers is None else self._readers.reader(member, read)

    def writer(self, message: Descriptor, selection: Selection | None = None) -> Transform:
        """Makes the writer from wire bytes of a message to its JSON, or to that of some fields."""
        if selection is None:
            return self._writer.message(message)
        return self._definition.message(message, selection)  # the native one knows no choices

    def field_writer(self, field: FieldDescriptor, selection: Selection | None = None) -> Transform:
        """Makes the writer from wire bytes of a message to the JSON of one of its fields.

        A field that is not set has the JSON of its default: `{}` for a message, `[]` for a list.
        `selection` is the choice among the fields below it.
        """
        if selection is None:
            return self._writer.field(field)
        return self._definition.field(field, selection)

    def in_form(self, form: JsonForm) -> "Codec":
        """Returns the codec that writes in another form than that of the settings.

        `form.fields` makes no difference: each writer has its own choice.
        """
        form = replace(form, fields=None)
        codec = self._forms.get(form)
        if codec is None:
            changes = {name: value for name, value in asdict(form).items() if value is not None}
            options = self._options.model_copy(update=changes)
            codec = self._forms[form] = Codec(
                self._pool, options, json_depth=self._depth, most_values=self._most_values
            )
        return codec

    def details_to_json(self, details: Iterable[any_pb2.Any]) -> list[dict[str, Any]]:
        """Converts each detail of an error as `any_to_json` does; never fails.

        The output has a total limit, because few bytes can become much JSON if unset fields are
        written, and so has their number. Details beyond a limit stay base64.
        """
        left = MAX_DETAILS_BYTES
        documents = []
        for number, detail in enumerate(details):
            if number >= MOST_DETAILS:
                documents.append(_in_base64(detail.type_url, detail.value))
                continue
            document, size = self._any_to_json(detail.type_url, detail.value, left)
            documents.append(document)
            left -= size
        return documents

    def any_to_json(self, type_url: str, value: bytes) -> dict[str, Any]:
        """Converts an Any to a JSON object; never fails.

        The value of an unknown type, or bytes that are not of the type, stay base64 in `value`.
        """
        return self._any_to_json(type_url, value, MAX_DETAILS_BYTES)[0]

    def _any_to_json(
        self, type_url: str, value: bytes, limit_bytes: int
    ) -> tuple[dict[str, Any], int]:
        """Converts an Any to a JSON object; returns it and the bytes it takes from the limit."""
        with suppress(Exception):  # any failure: the value stays base64
            wire = any_pb2.Any(type_url=type_url, value=value).SerializeToString()
            text = self.write_any(wire)
            found = json.loads(text) if len(text) <= limit_bytes else None
            if isinstance(found, dict) and "@type" in found:
                return found, len(text)
        return _in_base64(type_url, value), 0

    def find(self, name: str) -> Descriptor | None:
        """Returns the message type of this full name if an Any may hold it, else None."""
        try:
            message = self._pool.FindMessageTypeByName(name)
        except KeyError:
            return _ALWAYS_KNOWN.get(name)
        return None if message.GetOptions().map_entry else message


def _in_base64(type_url: str, value: bytes) -> dict[str, Any]:
    """Shows an Any whose value is not converted."""
    return {"@type": type_url, "value": b64encode(value).decode()}
