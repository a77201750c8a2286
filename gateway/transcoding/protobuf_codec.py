"""Protobuf bodies to wire bytes and back: next to no work, as that is what they are.

A body is checked before it is taken: bytes that are no whole message could swallow what the URL
adds behind them, and a path would no longer say what is done.
"""

from collections.abc import Callable

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from gateway.status import Code, StatusError, invalid_argument
from gateway.transcoding.wire import length_delimited, merged

Transform = Callable[[bytes], bytes]
"""Takes one encoded message, gives the other encoding; raises `StatusError`."""


def reader(message: Descriptor) -> Transform:
    """A body that is a message to its wire bytes: itself, once it is known to be one."""
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
    """A body that is a field's message to the wire bytes of a message with only that field set."""
    if not has_message(field):
        return _refuse(_unreadable(field))
    assert field.message_type is not None  # noqa: S101 - it has one
    number, read = field.number, reader(field.message_type)
    return lambda body: length_delimited(number, read(body))


def field_writer(field: FieldDescriptor) -> Transform:
    """Wire bytes of the message a field is in to the field's own message."""
    number = field.number
    return lambda wire: merged(wire, number)


def has_message(field: FieldDescriptor) -> bool:
    """Whether a field alone can be a protobuf body: only a message is one."""
    return field.type == FieldDescriptor.TYPE_MESSAGE and not field.is_repeated


def _refuse(error: StatusError) -> Transform:
    def refuse(_body: bytes) -> bytes:
        raise error

    return refuse


def _unreadable(field: FieldDescriptor) -> StatusError:
    return StatusError(
        Code.INVALID_ARGUMENT,
        f"the body is the field {field.name}, which is no message: send it as JSON",
        http_status=415,
        headers=[("Accept", "application/json")],
    )
