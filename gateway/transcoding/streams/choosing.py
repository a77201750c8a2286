"""Chooses how a request body is split into messages, by its media type."""

from collections.abc import Collection

from gateway.transcoding.media import (
    JSON,
    PROTOBUF_TYPES,
    is_among,
    is_json,
    media_type,
    unsupported,
)
from gateway.transcoding.streams.deframing import ArrayItems, Deframer, Delimited, Lines
from gateway.transcoding.streams.framing import JSON_LINES, NDJSON
from gateway.transcoding.streams.json_texts import JsonTexts


def choose_deframer(
    content_type: str | None, limit_bytes: int, *, json_types: Collection[str], concatenated: bool
) -> Deframer:
    """Makes the deframer for a body of this media type; without one, the body is JSON.

    `limit_bytes` is the largest size of one message, `json_types` are further media types that are
    read as JSON; with `concatenated`, JSON may be texts one after another.

    Raises:
        StatusError: INVALID_ARGUMENT with HTTP status 415 for another media type.
    """
    stated = "" if content_type is None else media_type(content_type)
    if stated in (NDJSON, JSON_LINES):
        return Lines(limit_bytes)
    if stated in PROTOBUF_TYPES:
        return Delimited(limit_bytes)
    if content_type is None or is_json(content_type) or is_among(content_type, json_types):
        return JsonTexts(limit_bytes) if concatenated else ArrayItems(limit_bytes)
    raise unsupported(content_type, NDJSON, JSON, PROTOBUF_TYPES[0])
