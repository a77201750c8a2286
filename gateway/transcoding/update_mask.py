"""Infers the mask of an update from the members of its JSON body (AIP-134, AIP-161).

A client that sends PATCH with `{"title": "x", "author": null}` means two fields: the title, and the
author, which is cleared. Without a mask the back end cannot see the second, for a message has no
null; and a back end that updates only what the mask names would change nothing.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.schema.field_behavior import behavior
from gateway.transcoding.binding import Binding, FieldPath
from gateway.transcoding.wire import fields, invalid_argument, length_delimited

InferMask = Callable[[bytes, bytes], bytes]
"""Makes the wire bytes of a mask, from a JSON body and the wire bytes that the query sets.

Empty if the query has a mask.
"""

CheckMask = Callable[[bytes], None]
"""Refuses the mask in the wire bytes that the query sets; raises `StatusError`."""

_MASK: Final = "google.protobuf.FieldMask"
_FIELD_NAME: Final = "update_mask"
_SPACE: Final = " \t\n\r"
# Of the values only objects count: a number is left as text, for `int` refuses very many digits.
_scan: Final = json.JSONDecoder(parse_int=str, parse_float=str).scan_once  # type: ignore[attr-defined]


def mask_inference(binding: Binding) -> InferMask | None:
    """Makes the inference for a binding, or None if it does not have the shape of AIP-134.

    The shape: PATCH, one message field as the body, and a field `update_mask` beside it that the
    path does not set.
    """
    shape = _shape(binding)
    if shape is None:
        return None
    body, resource, mask = shape
    paths = _Paths(resource, _below(body, binding.variables))
    name, number = mask.json_name, mask.number

    def infer(body: bytes, query: bytes) -> bytes:
        if query and any(found == number for found, _ in fields(query)):
            return b""
        found = paths.of(body)
        if not found:
            reason = "is not set, and the body has no field that can be updated"
            raise invalid_argument(name, reason)
        return length_delimited(
            number, b"".join([length_delimited(1, path.encode()) for path in found])
        )

    return infer


def mask_check(binding: Binding) -> CheckMask | None:
    """Makes the check of the masks that clients give, or None for a binding that needs none.

    It needs one if it has the shape of AIP-134, and its resource has a field that is IMMUTABLE
    (AIP-203). The name of a resource (IDENTIFIER) may be in a mask: it is in each resource.
    """
    shape = _shape(binding)
    if shape is None or not _has_immutable(shape[1]):
        return None
    _, resource, mask = shape
    name, number = mask.json_name, mask.number

    def check(query: bytes) -> None:
        for found, value in fields(query):
            if found == number:
                for _, path in fields(value):
                    text = path.decode()
                    if _is_immutable_path(resource, text):
                        reason = f"{text} cannot be changed (field_behavior IMMUTABLE)"
                        raise invalid_argument(name, f"{reason}: leave it out of the mask")

    return check


def _shape(binding: Binding) -> tuple[FieldDescriptor, Descriptor, FieldDescriptor] | None:
    """The body's field, its type and the field of the mask, if a binding has AIP-134's shape."""
    body, mask = binding.body, binding.method.input.fields_by_name.get(_FIELD_NAME)
    if (
        binding.http_method != "PATCH"
        or not isinstance(body, FieldDescriptor)
        or (resource := _message_of(body)) is None
        or mask is None
        or mask.is_repeated
        or mask.message_type is None
        or mask.message_type.full_name != _MASK
        or any(path.fields[0].number == mask.number for path in binding.variables)
    ):
        return None
    return body, resource, mask


def _has_immutable(resource: Descriptor) -> bool:
    """True if a field of a resource, or of a message in it, is IMMUTABLE."""
    seen, waiting = {resource.full_name}, [resource]
    while waiting:
        for field in waiting.pop().fields:
            if _is_immutable(field):
                return True
            inner = _message_of(field)
            if inner is not None and inner.full_name not in seen:
                seen.add(inner.full_name)
                waiting.append(inner)
    return False


def _is_immutable_path(resource: Descriptor, path: str) -> bool:
    """True if a step of a path in a mask, in .proto names, is IMMUTABLE."""
    scope: Descriptor | None = resource
    for step in path.split("."):
        field = None if scope is None else scope.fields_by_name.get(step)
        if field is None:
            return False
        if _is_immutable(field):
            return True
        scope = _message_of(field)
    return False


def _is_immutable(field: FieldDescriptor) -> bool:
    of = behavior(field)
    return of.is_immutable and not of.is_identifier


class _Fields:
    """The fields of a message that a client may set, by both names."""

    def __init__(self, message: Descriptor) -> None:
        self.by_name: dict[str, tuple[str, Descriptor | None]] = {}
        """The name in the .proto of each, and its type if it has members of its own in JSON."""
        for field in message.fields:
            if not behavior(field).is_output_only:
                found = field.name, _message_of(field)
                self.by_name |= {field.name: found, field.json_name: found}


class _Paths:
    """The paths of the members of JSON objects, in .proto names."""

    def __init__(self, resource: Descriptor, bound: Iterable[str]) -> None:
        """`bound` are the paths of the fields that the URL sets; they are not updated."""
        self._bound = frozenset(bound)
        self._resource = _Fields(resource)
        self._fields: dict[Descriptor, _Fields] = {}
        """Those of the messages inside: of each type, however deep it is nested."""

    def of(self, body: bytes) -> list[str]:
        """Returns the path of each member of a body that is JSON and has been decoded.

        A path ends at lists, maps and well-known types (AIP-161).
        """
        text = body.decode().lstrip(_SPACE)
        members, _ = _scan(text, 0)
        found: list[str] = []
        if isinstance(members, dict):
            self._add(self._resource, members, "", found)
        return found

    def _add(
        self, known: _Fields, members: dict[str, object], parent: str, found: list[str]
    ) -> None:
        by_name, bound = known.by_name, self._bound
        for name, value in members.items():
            field = by_name.get(name)
            if field is None:
                continue
            path = parent + field[0]
            if bound and path in bound:
                continue
            inner = field[1]
            if inner is not None and value and isinstance(value, dict):
                self._add(self._fields_of(inner), value, path + ".", found)
            else:
                found.append(path)

    def _fields_of(self, message: Descriptor) -> _Fields:
        known = self._fields.get(message)
        if known is None:
            known = self._fields[message] = _Fields(message)
        return known


def _message_of(field: FieldDescriptor) -> Descriptor | None:
    """The type of a field that is one message with members of its own in JSON, or None."""
    message = field.message_type
    if message is None or field.is_repeated or message.full_name.startswith("google.protobuf."):
        return None
    return message


def _below(body: FieldDescriptor, variables: Sequence[FieldPath]) -> Iterator[str]:
    """Yields the variables of the path that are inside the body, relative to it."""
    for path in variables:
        if path.fields[0].number == body.number:
            yield ".".join([field.name for field in path.fields[1:]])
