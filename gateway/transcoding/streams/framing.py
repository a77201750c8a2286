"""Many messages on one HTTP response: JSON lines, a JSON array, events, delimited protobuf.

A client can tell a stream that failed from one that is complete in every format: a failure is a
last record of its own kind, and what has neither ending was cut off. Delimited protobuf has no
room for a record of another kind, so there a failure is the cut itself.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.transcoding.media import PROTOBUF_TYPES, weights
from gateway.transcoding.payload import JSON
from gateway.transcoding.wire import varint

NDJSON = "application/x-ndjson"
JSON_LINES = "application/jsonl"
EVENT_STREAM = "text/event-stream"
_MAX_ID_DIGITS = 16  # what a JavaScript number holds exactly


@dataclass(frozen=True, slots=True)
class Framing:
    """One format: its media type, and the bytes for a message, a failure, and the end.

    Each takes how many messages went before.
    """

    media_type: str
    message: Callable[[bytes, int], bytes]
    failure: Callable[[bytes, int], bytes] | None
    """None where a failure cannot be told but by cutting the connection."""
    end: Callable[[int], bytes]
    parameters: str = ""
    """What stands behind the media type in Content-Type."""
    heartbeat: bytes = b""
    """What can be sent between messages and says nothing."""
    is_protobuf: bool = False
    counts_on: bool = False
    """Whether messages have numbers, which go on where a client that was cut off left."""

    @property
    def content_type(self) -> str:
        """What the response says it is."""
        return self.media_type + self.parameters


def _line(json: bytes) -> bytes:
    # Indented JSON has line breaks between its tokens only, never inside a string.
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
    # EventSource connects again after a plain end; this tells it that all has come.
    end=lambda _: b"event: end\ndata: {}\n\n",
    heartbeat=b":\n\n",
    counts_on=True,
)

FRAMINGS: Mapping[str, Framing] = {
    framing.media_type: framing
    for framing in (
        *(_lines(NDJSON), _ARRAY, _EVENTS, _lines(JSON_LINES)),
        *map(_protobuf, PROTOBUF_TYPES),
    )
}
"""By media type, the default first."""


def choose_framing(accept: str | None) -> Framing | None:
    """The framing a client likes best, NDJSON if it does not say, None if it admits none.

    An exact media type beats a range, then the weight decides, then our own order (RFC 9110 section
    12.5.1).
    """
    if accept is None or not accept.strip():
        return FRAMINGS[NDJSON]
    wanted = weights(accept)

    def liking(framing: Framing) -> tuple[bool, float]:
        exact = framing.media_type in wanted
        family = f"{framing.media_type.partition('/')[0]}/*"
        ranges = (framing.media_type, family, "*/*")
        return exact, next((wanted[r] for r in ranges if r in wanted), 0.0)

    admitted = [framing for framing in FRAMINGS.values() if liking(framing)[1] > 0]
    return max(admitted, key=liking, default=None)


def retry_field(after_s: float) -> bytes:
    """What tells an EventSource how long to wait before it connects again."""
    return b"retry: %d\n\n" % round(after_s * 1000)


def last_number(last_event_id: str | None) -> int:
    """The number of the last event that a client has seen, by its Last-Event-ID; 0 for none."""
    if last_event_id is None or not last_event_id.isascii() or not last_event_id.isdigit():
        return 0
    return int(last_event_id) if len(last_event_id) < _MAX_ID_DIGITS else 0
