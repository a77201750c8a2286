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
    """Whether a message is sent and received raw."""
    return message is not None and message.full_name == "google.api.HttpBody"


def write_http_body(content_type: str, data: bytes) -> bytes:
    """The wire bytes of an HttpBody, or of a later piece of one, which states no media type."""
    stated = length_delimited(1, content_type.encode("utf-8", "replace")) if content_type else b""
    return stated + length_delimited(2, data)


def read_http_body(wire: bytes) -> Payload:
    """The payload an HttpBody stands for; without a usable media type, application/octet-stream.

    Raises:
        UnreadableReplyError: the bytes are no HttpBody.
    """
    try:
        body = HttpBody.FromString(wire)
    except DecodeError:
        raise UnreadableReplyError(
            "the back end's google.api.HttpBody is malformed: its bytes are no such message"
        ) from None
    stated = body.content_type
    return Payload(
        body.data,
        stated if _MEDIA_TYPE.fullmatch(stated) else OCTET_STREAM,
        # A back end's file must not be taken for something else than it says it is.
        (("X-Content-Type-Options", "nosniff"),),
    )
