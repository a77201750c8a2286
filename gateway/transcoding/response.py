"""Encodes a reply's message to the response's payload; compiled once for each binding."""

from collections.abc import Callable

from gateway.transcoding import protobuf_codec
from gateway.transcoding.binding import Binding
from gateway.transcoding.http_body import is_http_body, read_http_body, read_large, view_of_data
from gateway.transcoding.json.codec import Codec
from gateway.transcoding.media import JSON, Code, Payload, StatusError
from gateway.transcoding.selections import Selection, members_of, read_selection
from gateway.transcoding.wire import merged


class Encoder:
    """Encodes the message of a reply to the payload of the response."""

    __slots__ = ("content_type", "write")

    def __init__(self, write: Callable[[bytes], bytes] | None, content_type: str = JSON) -> None:
        self.write = write
        """Makes the body from wire bytes; None if each message states its own media type."""
        self.content_type = content_type
        """The media type of all that `write` makes."""

    def __call__(self, wire: bytes) -> Payload:
        """Returns the payload; one that is written has no headers of its own."""
        assert self.write is not None  # noqa: S101 - `RawEncoder` does not come here
        return Payload(self.write(wire), self.content_type)

    def view(self, wire: bytes) -> memoryview | None:  # noqa: ARG002 - others have one
        """Returns the body as a part of the message; None if it is made anew."""
        return None

    def large(self, wire: bytes) -> tuple[Payload, memoryview] | None:  # noqa: ARG002 - as `view`
        """Returns the payload without its body, and that as a part of the message; None if made."""
        return None


class RawEncoder(Encoder):
    """Sends a google.api.HttpBody as it is; it is a field of the reply, or all of it."""

    __slots__ = ("_number",)

    def __init__(self, number: int | None = None) -> None:
        super().__init__(None)
        self._number = number

    def __call__(self, wire: bytes) -> Payload:
        """Returns the payload with the headers that belong to it."""
        return read_http_body(wire if self._number is None else merged(wire, self._number))

    def view(self, wire: bytes) -> memoryview | None:
        """Returns the body as a part of the message, if that is as libraries write it."""
        return view_of_data(wire) if self._number is None else None

    def large(self, wire: bytes) -> tuple[Payload, memoryview] | None:
        """Returns the payload without its body, and that as a part of the message, as `view`."""
        return read_large(wire) if self._number is None else None


def response_encoder(binding: Binding, codec: Codec, chosen: str | None = None) -> Encoder:
    """Makes the encoder from wire bytes of a reply to the payload that the rule describes.

    A google.api.HttpBody, or a `response_body` field that is one, is sent raw; all other replies
    are sent as JSON. `chosen` are the members to write, as
    the parameter `$fields` names them.

    Raises:
        StatusError: INVALID_ARGUMENT for `chosen` that the reply does not have.
    """
    field = binding.response_body
    if field is None and is_http_body(binding.method.output):
        return RawEncoder()
    if field is not None and not field.is_repeated and is_http_body(field.message_type):
        return RawEncoder(field.number)
    selection = None if chosen is None else _selection(binding, chosen)
    if field is None:
        return Encoder(codec.writer(binding.method.output, selection))
    return Encoder(codec.field_writer(field, selection))


def _selection(binding: Binding, chosen: str) -> Selection:
    field = binding.response_body
    message = binding.method.output if field is None else members_of(field)
    return read_selection(chosen, message, "$fields")


def protobuf_encoder(binding: Binding, media_type: str) -> Encoder:
    """Makes the encoder from wire bytes of a reply to protobuf with this media type.

    Raises:
        StatusError: HTTP status 406 if the rule's `response_body` is not a message.
    """
    field = binding.response_body
    if field is None:
        return Encoder(lambda wire: wire, media_type)
    if not protobuf_codec.has_message(field):
        raise StatusError(
            Code.INVALID_ARGUMENT,
            f"the reply is the field {field.name}, which is not a message: accept JSON",
            http_status=406,
        )
    return Encoder(protobuf_codec.field_writer(field), media_type)
