"""Writes the messages of OTLP for traces as protobuf (opentelemetry-proto 1.5, trace/v1)."""

import struct
from collections.abc import Mapping
from typing import Final

from gateway.transcoding.wire import (
    LENGTH,
    length_delimited,
    length_prefix,
    signed_varint,
    tag,
    varint,
)

SERVER: Final = 2
CLIENT: Final = 3
"""The kinds of spans (`Span.SpanKind`)."""
_HAS_REMOTE: Final = 0x100
_IS_REMOTE: Final = 0x200
"""`SpanFlags`: it is known that the parent is in another process, and it is."""

Value = str | int | bool

# The tag and the length of each id.
_TRACE_ID: Final = tag(1, LENGTH) + varint(16)
_SPAN_ID: Final = tag(2, LENGTH) + varint(8)
_PARENT_ID: Final = tag(4, LENGTH) + varint(8)
_TEXT: Final = tag(1, LENGTH)
_TRUTH: Final = tag(2, 0)
_INTEGER: Final = tag(3, 0)
_EVENT_TIME: Final = tag(1, 1)
_KIND: Final = tag(6, 0)
_START: Final = tag(7, 1)
_END: Final = tag(8, 1)
_FLAGS: Final = tag(16, 5)
_FAILED: Final = length_delimited(15, tag(3, 0) + varint(2))
_SHORT: Final = 256
"""The bytes before shorter values are kept, by the size of the value."""
_fixed64: Final = struct.Struct("<Q").pack
_fixed32: Final = struct.Struct("<I").pack
_times: Final = struct.Struct("<cQcQ").pack
# By the flags of a trace, as a span has a parent here or in another process.
_LOCAL: Final = [_FLAGS + _fixed32(flags | _HAS_REMOTE) for flags in range(256)]
_REMOTE: Final = [_FLAGS + _fixed32(flags | _HAS_REMOTE | _IS_REMOTE) for flags in range(256)]


class Attribute:
    """Encodes an attribute of a span: a `KeyValue` in `Span.attributes`."""

    def __init__(self, key: str, number: int = 9) -> None:
        """Takes the number of the field that has the attributes."""
        self._tag = tag(number, LENGTH)
        self._key = length_delimited(1, key.encode())
        self._starts: dict[int, bytes] = {}
        """The bytes before a value, by its size."""

    def of(self, value: Value) -> bytes:
        """Returns the attribute with a value."""
        if isinstance(value, bool):
            encoded = _TRUTH + varint(1 if value else 0)
        elif isinstance(value, int):
            encoded = _INTEGER + signed_varint(value)
        else:
            text = value.encode("utf-8", "replace")
            encoded = _TEXT + varint(len(text)) + text
        size = len(encoded)
        return (self._starts.get(size) or self._start(size)) + encoded

    def _start(self, size: int) -> bytes:
        key = self._key + tag(2, LENGTH) + varint(size)
        start = self._tag + varint(len(key) + size) + key
        if size < _SHORT:
            self._starts[size] = start
        return start


def attributes(values: Mapping[str, Value], number: int = 9) -> bytes:
    """Encodes attributes that are made once, or kept."""
    return b"".join([Attribute(key, number).of(value) for key, value in values.items()])


def event(name: str, at_s: float) -> bytes:
    """Encodes an `Event` as an item of `Span.events`; the time is in seconds since 1970."""
    return length_delimited(
        11, _EVENT_TIME + _fixed64(int(at_s * 1e9)) + length_delimited(2, name.encode())
    )


def title(name: str, kind: int) -> bytes:
    """Encodes the name of a span and its kind, for `span`."""
    return length_delimited(5, name.encode("utf-8", "replace")) + _KIND + varint(kind)


def span(  # noqa: PLR0917 - the fields of a span
    trace_id: str,
    span_id: str,
    parent_id: str,
    state: str,
    flags: int,
    encoded_title: bytes,
    start_s: float,
    end_s: float,
    encoded_attributes: bytes,
    encoded_events: bytes = b"",
    *,
    is_failed: bool,
    is_remote: bool,
) -> bytes:
    """Encodes a `Span` as an item of `ScopeSpans.spans`; `is_remote` tells of its parent.

    Ids are hexadecimal digits, times are in seconds since 1970.
    """
    ids = bytes.fromhex(trace_id + span_id + parent_id)
    encoded = b"".join((
        _TRACE_ID, ids[:16], _SPAN_ID, ids[16:24],
        length_delimited(3, state.encode()) if state else b"",
        _PARENT_ID + ids[24:] if parent_id else b"",
        encoded_title,
        _times(_START, int(start_s * 1e9), _END, int(end_s * 1e9)),
        encoded_attributes, encoded_events,
        _FAILED if is_failed else b"",
        _REMOTE[flags] if is_remote else _LOCAL[flags],
    ))  # fmt: skip
    return length_delimited(2, encoded)


class Requests:
    """Encodes each `ExportTraceServiceRequest` of one program."""

    def __init__(
        self, resource: Mapping[str, Value], scope: str, version: str, schema_url: str
    ) -> None:
        about = length_delimited(1, scope.encode()) + length_delimited(2, version.encode())
        self._resource = length_delimited(1, attributes(resource, number=1))
        self._scope = length_delimited(1, about)
        self._schema = length_delimited(3, schema_url.encode())

    def encode(self, spans: bytearray) -> bytes:
        """Encodes a request of spans that `span` has encoded."""
        schema = self._schema
        scope_size = len(self._scope) + len(spans) + len(schema)
        scope_prefix = length_prefix(2, scope_size)
        size = len(self._resource) + len(scope_prefix) + scope_size + len(schema)
        # The lengths first, so that all is copied once.
        return b"".join((
            length_prefix(1, size), self._resource,
            scope_prefix, self._scope, spans, schema,
            schema,
        ))  # fmt: skip
