"""Encodes a reply's message to the response's payload; compiled once for each binding."""

from collections.abc import Callable

from gateway.status import Code, StatusError
from gateway.transcoding import protobuf_codec
from gateway.transcoding.binding import Binding
from gateway.transcoding.http_body import is_http_body, read_http_body
from gateway.transcoding.json.codec import Codec
from gateway.transcoding.media import Payload
from gateway.transcoding.selections import Selection, members_of, read_selection
from gateway.transcoding.wire import merged

Encode = Callable[[bytes], Payload]


def response_encoder(binding: Binding, codec: Codec, chosen: str | None = None) -> Encode:
    """Makes the encoder from wire bytes of a reply to the payload that the rule describes.

    A google.api.HttpBody, or a `response_body` field that is one, is sent raw; all other replies
    are sent as JSON. `chosen` are the members to write, as
    the parameter `$fields` names them.

    Raises:
        StatusError: INVALID_ARGUMENT for `chosen` that the reply does not have.
    """
    field = binding.response_body
    if field is None and is_http_body(binding.method.output):
        return read_http_body
    if field is not None and not field.is_repeated and is_http_body(field.message_type):
        number = field.number
        return lambda wire: read_http_body(merged(wire, number))
    selection = None if chosen is None else _selection(binding, chosen)
    if field is None:
        write = codec.writer(binding.method.output, selection)
    else:
        write = codec.field_writer(field, selection)
    return lambda wire: Payload(write(wire))


def _selection(binding: Binding, chosen: str) -> Selection:
    field = binding.response_body
    message = binding.method.output if field is None else members_of(field)
    return read_selection(chosen, message, "$fields")


def protobuf_encoder(binding: Binding, media_type: str) -> Encode:
    """Makes the encoder from wire bytes of a reply to protobuf with this media type.

    Raises:
        StatusError: HTTP status 406 if the rule's `response_body` is not a message.
    """
    field = binding.response_body
    if field is None:
        return lambda wire: Payload(wire, media_type)
    if not protobuf_codec.has_message(field):
        raise StatusError(
            Code.INVALID_ARGUMENT,
            f"the reply is the field {field.name}, which is not a message: accept JSON",
            http_status=406,
        )
    write = protobuf_codec.field_writer(field)
    return lambda wire: Payload(write(wire), media_type)
