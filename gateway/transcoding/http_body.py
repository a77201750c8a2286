"""google.api.HttpBody on the wire: raw bytes with a media type instead of JSON.

Fields, as google/api/httpbody.proto numbers them: content_type = 1, data = 2.
"""

import re

from google.api.httpbody_pb2 import HttpBody
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError

from gateway.status import UnreadableReplyError
from gateway.transcoding.payload import OCTET_STREAM, Payload
from gateway.transcoding.wire import length_delimited

_MEDIA_TYPE = re.compile(r"[\x20-\x7e]{1,255}")


def is_http_body(message: Descriptor | None) -> bool:
    """True if a message is sent and received raw."""
    return message is not None and message.full_name == "google.api.HttpBody"


def write_http_body(content_type: str, data: bytes) -> bytes:
    """Encodes an HttpBody, or a later piece of one, which has no media type."""
    stated = length_delimited(1, content_type.encode("utf-8", "replace")) if content_type else b""
    return stated + length_delimited(2, data)


def read_http_body(wire: bytes) -> Payload:
    """Decodes an HttpBody to a payload; without a valid media type, application/octet-stream.

    Raises:
        UnreadableReplyError: the bytes are not an HttpBody.
    """
    try:
        body = HttpBody.FromString(wire)
    except DecodeError:
        raise UnreadableReplyError("the back end's google.api.HttpBody is malformed") from None
    stated = body.content_type
    return Payload(
        body.data,
        stated if _MEDIA_TYPE.fullmatch(stated) else OCTET_STREAM,
        # Browsers must not guess another type for a back end's file.
        (("X-Content-Type-Options", "nosniff"),),
    )
