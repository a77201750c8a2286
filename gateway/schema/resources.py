"""Recognises the shapes of messages and methods that google.aip.dev describes."""

from dataclasses import dataclass
from typing import Any, Final

from google.api import field_info_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.schema.catalog import Method

_INFO: Final[Any] = field_info_pb2.field_info
_ETAG: Final = "etag"
_REQUEST_ID: Final = "request_id"
_OPERATION: Final = "google.longrunning.Operation"
_OPERATIONS: Final = "google.longrunning.Operations"
GET_OPERATION: Final = f"{_OPERATIONS}.GetOperation"


def etag_field(message: Descriptor) -> FieldDescriptor | None:
    """Returns the field `string etag` of a resource or request (AIP-154), or None."""
    return _text(message, _ETAG)


def request_etag(method: Method) -> tuple[int, ...]:
    """Returns the numbers of the fields that lead to the etag of a request; empty without one.

    It is the request's own field, or that of the resource which an HTTP rule has as its body.
    """
    own = etag_field(method.input)
    if own is not None:
        return (own.number,)
    for rule in method.rules:
        body = method.input.fields_by_name.get(rule.body or "")
        if body is not None and not body.is_repeated and body.message_type is not None:
            inner = etag_field(body.message_type)
            if inner is not None:
                return body.number, inner.number
    return ()


def request_id_field(message: Descriptor) -> FieldDescriptor | None:
    """Returns the field `string request_id` with the format UUID4 (AIP-155), or None."""
    field = _text(message, _REQUEST_ID)
    if field is None or not field.has_options:
        return None
    options: Any = field.GetOptions()
    is_uuid = options.Extensions[_INFO].format == field_info_pb2.FieldInfo.UUID4
    return field if is_uuid else None


@dataclass(frozen=True, slots=True)
class Paging:
    """The fields by which a method returns a list in pages (AIP-158)."""

    page_size: FieldDescriptor
    page_token: FieldDescriptor
    next_page_token: FieldDescriptor


def paging(method: Method) -> Paging | None:
    """Returns the fields of a method with the shape of AIP-158, or None.

    The shape: `int32 page_size` and `string page_token` in the request; `string next_page_token`
    and one list of messages, the items, in the reply.
    """
    size = method.input.fields_by_name.get("page_size")
    token, following = _text(method.input, "page_token"), _text(method.output, "next_page_token")
    if size is None or token is None or following is None:
        return None
    if any(f"{{{token.name}" in rule.template for rule in method.rules):
        return None  # no query can change what the path says
    if size.type != FieldDescriptor.TYPE_INT32 or size.is_repeated:
        return None
    lists = [one for one in method.output.fields if one.is_repeated and _is_message(one)]
    return Paging(size, token, following) if len(lists) == 1 else None


def begins_operation(method: Method) -> bool:
    """True if a method answers with a new long-running operation (AIP-151).

    The methods of `google.longrunning.Operations` answer with one that exists.
    """
    return method.output.full_name == _OPERATION and method.service != _OPERATIONS


def _text(message: Descriptor, name: str) -> FieldDescriptor | None:
    field = message.fields_by_name.get(name)
    if field is None or field.is_repeated or field.type != FieldDescriptor.TYPE_STRING:
        return None
    return field


def _is_message(field: FieldDescriptor) -> bool:
    message = field.message_type
    return message is not None and not message.GetOptions().map_entry
