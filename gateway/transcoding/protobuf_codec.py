"""Protobuf bodies to wire bytes and back: almost no work, as the formats are the same.

A body is checked first: an incomplete message could swallow the bytes that the URL appends, and
the path would no longer decide which resource is changed.
"""

from collections.abc import Callable

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from gateway.transcoding.wire import Code, StatusError, invalid_argument, length_delimited, merged

Transform = Callable[[bytes], bytes]
"""Converts an encoded message to the other encoding; raises `StatusError`."""


def reader(message: Descriptor) -> Transform:
    """Makes the reader of a body that is a message: it checks the body and returns it."""
    parse = GetMessageClass(message).FromString

    def read(body: bytes) -> bytes:
        try:
            parse(body)
        except DecodeError:
            raise invalid_argument(
                "", f"the body is not a {message.full_name} in protobuf"
            ) from None
        return body

    return read


def field_reader(field: FieldDescriptor) -> Transform:
    """Makes the reader of a body that is a field's message, to a message with only that field."""
    if not has_message(field):
        return _refuse(_unreadable(field))
    assert field.message_type is not None  # noqa: S101 - checked by has_message
    number, read = field.number, reader(field.message_type)
    return lambda body: length_delimited(number, read(body))


def field_writer(field: FieldDescriptor) -> Transform:
    """Makes the writer of the field's message, from wire bytes of the message with the field."""
    number = field.number
    return lambda wire: merged(wire, number)


def has_message(field: FieldDescriptor) -> bool:
    """True if a field alone can be a protobuf body: only a message can."""
    return field.type == FieldDescriptor.TYPE_MESSAGE and not field.is_repeated


def _refuse(error: StatusError) -> Transform:
    def refuse(_body: bytes) -> bytes:
        raise error

    return refuse


def _unreadable(field: FieldDescriptor) -> StatusError:
    return StatusError(
        Code.INVALID_ARGUMENT,
        f"the body is the field {field.name}, which is not a message: send it as JSON",
        http_status=415,
        headers=[("Accept", "application/json")],
    )
