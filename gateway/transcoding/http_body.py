"""google.api.HttpBody on the wire: raw bytes with a media type instead of JSON.

Fields, as google/api/httpbody.proto numbers them: content_type = 1, data = 2.
"""

import re
from functools import lru_cache
from typing import Final

from google.api.httpbody_pb2 import HttpBody
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError

from gateway.transcoding.media import OCTET_STREAM, Payload
from gateway.transcoding.wire import UnreadableReplyError, length_delimited, length_prefix

_MEDIA_TYPE: Final = re.compile(r"[\x20-\x7e]{1,255}")
# A media type of up to 127 letters, with its length, or none; and the length of the data.
_USUAL_START: Final = re.compile(
    rb"(?:\x0a([\x01-\x7f])([\x20-\x7e]{1,127}))?\x12([\x80-\xff]{0,4}[\x00-\x7f])", re.DOTALL
)
_NO_SNIFFING: Final = (("X-Content-Type-Options", "nosniff"),)


def is_http_body(message: Descriptor | None) -> bool:
    """True if a message is sent and received raw."""
    return message is not None and message.full_name == "google.api.HttpBody"


def write_http_body(content_type: str, data: bytes, number: int = 0) -> bytes:
    """Encodes an HttpBody, or a later piece of one, which has no media type."""
    return http_body_start(content_type, len(data), number) + data


def http_body_start(content_type: str, size: int, number: int = 0) -> bytes:
    """Encodes all of an HttpBody but its data, which has this size and comes last.

    With a `number`, the HttpBody is that field of a message.
    """
    stated = length_delimited(1, content_type.encode("utf-8", "replace")) if content_type else b""
    start = stated + length_prefix(2, size)
    return length_prefix(number, len(start) + size) + start if number else start


def read_http_body(wire: bytes) -> Payload:
    """Decodes an HttpBody to a payload; without a valid media type, application/octet-stream.

    Raises:
        UnreadableReplyError: the bytes are not an HttpBody.
    """
    stated, data = _read_usual(wire) or _read_any(wire)
    # Browsers must not guess another type for a back end's file.
    return Payload(data, stated, _NO_SNIFFING)


def read_large(wire: bytes) -> tuple[Payload, memoryview] | None:
    """Returns the payload of an HttpBody without its data, and that without a copy.

    None if the HttpBody is not as libraries write it.
    """
    usual = _usual_start(wire)
    if usual is None:
        return None
    return Payload(b"", usual[0], _NO_SNIFFING), memoryview(wire)[usual[1] :]


def view_of_data(wire: bytes) -> memoryview | None:
    """Returns the data of an HttpBody without a copy; None if it is not as libraries write it."""
    usual = _usual_start(wire)
    return None if usual is None else memoryview(wire)[usual[1] :]


def _read_usual(wire: bytes) -> tuple[str, bytes] | None:
    """Returns the media type and the data as libraries write them, or None.

    The data is copied once; the library copies it twice.
    """
    usual = _usual_start(wire)
    return None if usual is None else (usual[0], wire[usual[1] :])


class _Before:
    """The message before: its start, its size, and what `_usual_start` has returned for it."""

    __slots__ = ("known",)

    def __init__(self) -> None:
        self.known: tuple[bytes, int, tuple[str, int]] = (b"", -1, ("", 0))


_before: Final = _Before()


def _usual_start(wire: bytes) -> tuple[str, int] | None:
    """Returns the media type, and where the data begins that takes the rest."""
    start, size, usual = _before.known
    # Messages of a stream mostly begin alike: amid large data, a pattern takes several times as
    # long to match as usual, because nothing of it is in the processor's cache.
    if len(wire) == size and wire.startswith(start):
        return usual
    found = _USUAL_START.match(wire)
    if found is None:
        return None
    start = found[0]
    read = _read_start(start)
    if read is None or len(start) + read[1] != len(wire):
        return None
    usual = read[0], len(start)
    _before.known = start, len(wire), usual
    return usual


@lru_cache(maxsize=256)
def _read_start(start: bytes) -> tuple[str, int] | None:
    """Returns the media type and the size of the data; the messages of a stream have the same."""
    found = _USUAL_START.match(start)
    if found is None:
        return None
    stated = found[2] or b""
    if found[1] and found[1][0] != len(stated):
        return None
    size = 0
    for place, byte in enumerate(found[3]):
        size |= (byte & 127) << (7 * place)
    return _media_type(stated.decode("ascii")), size


def _read_any(wire: bytes) -> tuple[str, bytes]:
    try:
        body = HttpBody.FromString(wire)
    except DecodeError:
        raise UnreadableReplyError("the back end's google.api.HttpBody is malformed") from None
    return _media_type(body.content_type), body.data


def _media_type(stated: str) -> str:
    return stated if _MEDIA_TYPE.fullmatch(stated) else OCTET_STREAM
