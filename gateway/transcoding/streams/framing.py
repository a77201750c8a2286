"""Frames many messages in one response: JSON lines, a JSON array, events, delimited protobuf.

In every format a client can distinguish a failed stream from a complete one: a failure is a last
record of a special kind, and a stream without any end was cut off. Delimited protobuf has no
special records, so there the connection is cut on a failure.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from gateway.config.streams import ArrayFailure, StreamFormat, StreamOptions
from gateway.transcoding.media import JSON, OCTET_STREAM, PROTOBUF_TYPES, weights
from gateway.transcoding.wire import varint

NDJSON = "application/x-ndjson"
JSON_LINES = "application/jsonl"
EVENT_STREAM = "text/event-stream"
_MAX_ID_DIGITS = 16  # the digits that a JavaScript number holds exactly


@dataclass(frozen=True, slots=True)
class Framing:
    """One format: its media type, and the bytes for a message, a failure, and the end.

    Each function takes the number of messages before.
    """

    media_type: str
    message: Callable[[bytes, int], bytes]
    failure: Callable[[bytes, int], bytes] | None
    """None if a failure can be reported only by cutting the connection."""
    end: Callable[[int], bytes]
    parameters: str = ""
    """The parameters after the media type in Content-Type."""
    heartbeat: bytes = b""
    """Bytes without meaning that can be sent between messages."""
    is_protobuf: bool = False
    has_ids: bool = False
    """True if messages have numbers, which continue when a client reconnects."""

    @property
    def content_type(self) -> str:
        """The Content-Type of the response."""
        return self.media_type + self.parameters


def _line(json: bytes) -> bytes:
    # Remove all line breaks: indented JSON has them only between tokens, never inside a string.
    return json.replace(b"\n", b"")


def _array_item(json: bytes, before: int) -> bytes:
    return (b"," if before else b"[") + json


def _event(json: bytes, before: int) -> bytes:
    return b"id: %d\ndata: %b\n\n" % (before + 1, _line(json))


def _lines(media_type: str) -> Framing:
    return Framing(
        media_type,
        message=lambda json, _: _line(json) + b"\n",
        failure=lambda json, _: _line(json) + b"\n",
        end=lambda _: b"",
    )


def _protobuf(media_type: str) -> Framing:
    return Framing(
        media_type,
        message=lambda wire, _: varint(len(wire)) + wire,
        failure=None,
        end=lambda _: b"",
        parameters=";delimited=true",
        is_protobuf=True,
    )


_ARRAY = Framing(
    JSON,
    message=_array_item,
    failure=lambda json, before: _array_item(json, before) + b"]",
    end=lambda before: b"]" if before else b"[]",
)
_EVENTS = Framing(
    EVENT_STREAM,
    message=_event,
    failure=lambda json, _: b"event: error\ndata: %b\n\n" % _line(json),
    # EventSource reconnects after a plain end; this event tells it that the stream is complete.
    end=lambda _: b"event: end\ndata: {}\n\n",
    heartbeat=b":\n\n",
    has_ids=True,
)

RAW_LINES = Framing(
    OCTET_STREAM,
    message=lambda data, _: data + b"\n",
    failure=lambda json, _: _line(json) + b"\n",
    end=lambda _: b"",
)
"""Raw bytes with a line feed after each message; their own media type is that of the response."""

FRAMINGS: Mapping[str, Framing] = {
    framing.media_type: framing
    for framing in (
        *(_lines(NDJSON), _ARRAY, _EVENTS, _lines(JSON_LINES)),
        *map(_protobuf, PROTOBUF_TYPES),
    )
}
"""The framings by media type."""


_DEFAULTS: Mapping[StreamFormat, str] = {
    StreamFormat.NDJSON: NDJSON,
    StreamFormat.ARRAY: JSON,
    StreamFormat.SSE: EVENT_STREAM,
}


def offered_framings(options: StreamOptions) -> Sequence[Framing]:
    """The framings that these settings offer, the default first."""
    default = _DEFAULTS[options.format]
    framings = [FRAMINGS[default], *(f for name, f in FRAMINGS.items() if name != default)]
    if options.array_failure is ArrayFailure.CUT:
        framings = [replace(f, failure=None) if f is _ARRAY else f for f in framings]
    return framings


def choose_framing(accept: str | None, offered: Sequence[Framing]) -> Framing | None:
    """Chooses the framing that a client prefers; without a preference the first; None for none.

    An exact media type wins over a range, then the weight decides, then the order in `offered`
    (RFC 9110 section 12.5.1).
    """
    if accept is None or not accept.strip():
        return offered[0]
    wanted = weights(accept)

    def preference(framing: Framing) -> tuple[bool, float]:
        exact = framing.media_type in wanted
        family = f"{framing.media_type.partition('/')[0]}/*"
        ranges = (framing.media_type, family, "*/*")
        return exact, next((wanted[r] for r in ranges if r in wanted), 0.0)

    accepted = [framing for framing in offered if preference(framing)[1] > 0]
    return max(accepted, key=preference, default=None)


def retry_field(after_s: float) -> bytes:
    """The event field that tells an EventSource how long to wait before it reconnects."""
    return b"retry: %d\n\n" % round(after_s * 1000)


def last_number(last_event_id: str | None) -> int:
    """Parses Last-Event-ID to the number of the last event that the client received; 0 for none."""
    if last_event_id is None or not last_event_id.isascii() or not last_event_id.isdigit():
        return 0
    return int(last_event_id) if len(last_event_id) < _MAX_ID_DIGITS else 0
