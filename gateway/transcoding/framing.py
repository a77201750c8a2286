"""Many messages on one HTTP response: newline-delimited JSON, a JSON array, server-sent events.

A client can tell a stream that failed from one that is complete in every format: a failure is a
last record of its own kind, and what has neither ending was cut off.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.transcoding.media import weights
from gateway.transcoding.payload import JSON

NDJSON = "application/x-ndjson"
EVENT_STREAM = "text/event-stream"


@dataclass(frozen=True, slots=True)
class Framing:
    """One format: its media type, and the bytes for a message, a failure, and the end.

    Each takes how many messages went before.
    """

    media_type: str
    message: Callable[[bytes, int], bytes]
    failure: Callable[[bytes, int], bytes]
    end: Callable[[int], bytes]


def _line(json: bytes) -> bytes:
    # Indented JSON has line breaks between its tokens only, never inside a string.
    return json.replace(b"\n", b"")


def _array_item(json: bytes, before: int) -> bytes:
    return (b"," if before else b"[") + json


def _event(json: bytes, before: int) -> bytes:
    return b"id: %d\ndata: %b\n\n" % (before + 1, _line(json))


FRAMINGS: Mapping[str, Framing] = {
    NDJSON: Framing(
        NDJSON,
        message=lambda json, _: _line(json) + b"\n",
        failure=lambda json, _: _line(json) + b"\n",
        end=lambda _: b"",
    ),
    JSON: Framing(
        JSON,
        message=_array_item,
        failure=lambda json, before: _array_item(json, before) + b"]",
        end=lambda before: b"]" if before else b"[]",
    ),
    EVENT_STREAM: Framing(
        EVENT_STREAM,
        message=_event,
        failure=lambda json, _: b"event: error\ndata: %b\n\n" % _line(json),
        # EventSource connects again after a plain end; this tells it that all has come.
        end=lambda _: b"event: end\ndata: {}\n\n",
    ),
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
