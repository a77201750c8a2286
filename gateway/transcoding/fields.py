"""Resolves dotted field paths on descriptors, and encodes values at them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.config.similar import nearest
from gateway.transcoding.text_values import has_members, value_reader
from gateway.transcoding.wire import (
    END_GROUP,
    GROUP,
    LENGTH,
    invalid_argument,
    length_delimited,
    tag,
    varint,
)

Encoder = Callable[[str], bytes]
"""Encodes text as wire bytes of the message in which a path starts; raises `StatusError`."""

SHORT: Final = 128
"""The size from which a text is not short: more than one byte states it."""

Position = tuple[int, ...]
"""A position in a message: the field numbers that lead to it."""


class FieldPathError(ValueError):
    """A field path does not exist in its message; the text names the step.

    `reached` is the part of the path that exists, or None.
    """

    def __init__(self, text: str, reached: "FieldPath | None" = None) -> None:
        super().__init__(text)
        self.reached = reached


@dataclass(frozen=True, slots=True)
class FieldPath:
    """The fields from a message down to a nested one; never empty."""

    fields: tuple[FieldDescriptor, ...]

    @property
    def leaf(self) -> FieldDescriptor:
        """The last field of the path."""
        return self.fields[-1]

    @property
    def text(self) -> str:
        """The path in the names of the .proto file: `book.shelf_name`."""
        return ".".join(field.name for field in self.fields)

    @property
    def json(self) -> str:
        """The path in JSON names: `book.shelfName`."""
        return ".".join(field.json_name for field in self.fields)

    @property
    def numbers(self) -> Position:
        """The path in field numbers."""
        return tuple(field.number for field in self.fields)

    def overlaps(self, other: "FieldPath") -> bool:
        """True if one of the two contains the other, or they are the same."""
        return all(a == b for a, b in zip(self.numbers, other.numbers, strict=False))

    def choices(self) -> Iterator[tuple[tuple[Position, str], int]]:
        """Yields each oneof that this path sets, and the number of the member that it chooses."""
        for depth, field in enumerate(self.fields):
            oneof = field.containing_oneof
            # Skip a oneof with one member, such as that of a proto3 `optional`: it has no choice.
            if oneof is not None and len(oneof.fields) > 1:
                yield (self.numbers[:depth], oneof.name), field.number


def resolve(message: Descriptor, path: str, *, json_names: bool = False) -> FieldPath:
    """Finds the fields that `path` names in `message`; with `json_names`, JSON names count too.

    Raises:
        FieldPathError: a step names no field, or goes through a list, a map, a scalar, or a
            well-known type whose JSON form has no members.
    """
    fields: tuple[FieldDescriptor, ...] = ()
    scope = message
    for step in path.split("."):
        if fields:
            scope = _scope_of(fields, path)
        field = _field(scope, step, json_names=json_names)
        if field is None:
            # Suggest names to operators only: it is slow, and clients may be hostile.
            near = "" if json_names else nearest(step, scope.fields_by_name)
            hint = f"; did you mean {near}?" if near else ""
            raise FieldPathError(
                f"{path}: {scope.full_name} has no field {step}{hint}",
                FieldPath(fields) if fields else None,
            )
        fields = (*fields, field)
    return FieldPath(fields)


def _scope_of(fields: tuple[FieldDescriptor, ...], path: str) -> Descriptor:
    """The message in which the step after `fields` is looked up."""
    last = fields[-1]
    scope = last.message_type
    if last.is_repeated:
        why = f"{last.name} is a list or map, which has no path"
    elif scope is None:
        why = f"{last.name} has no fields"
    elif not has_members(scope):
        why = f"{last.name} is a {scope.full_name}, which has no members in JSON"
    else:
        return scope
    raise FieldPathError(f"{path}: {why}", FieldPath(fields))


def _field(scope: Descriptor, name: str, *, json_names: bool) -> FieldDescriptor | None:
    field = scope.fields_by_name.get(name)
    if field is None and json_names:
        return next((f for f in scope.fields if f.json_name == name), None)
    return field


def check_path_variable(path: FieldPath) -> None:
    """Rejects a path variable that a URL segment cannot fill (http.proto, HttpRule).

    Raises:
        FieldPathError: the field is a list, a map, or a message without a text form.
    """
    if path.leaf.is_repeated:
        raise FieldPathError(f"{path.text}: a list or map cannot be a path variable")
    message = path.leaf.message_type
    empty = message is not None and message.full_name == "google.protobuf.Empty"
    if empty or value_reader(path.leaf) is None:
        raise FieldPathError(f"{path.text}: a message cannot be a path variable")


def path_encoder(path: FieldPath, *, ignores_case: bool = False) -> Encoder:
    """Makes the encoder of a path variable's text into its field.

    It writes default values too: they must win over a value in the body. With `ignores_case`, the
    names of enum values are compared without their case.

    Raises:
        FieldPathError: a value of that field has no text form.
    """
    check_path_variable(path)
    return field_encoder(path, path.json, ignores_case=ignores_case)


def field_encoder(
    path: FieldPath, name: str, *, numeric_bools: bool = False, ignores_case: bool = False
) -> Encoder:
    """Makes the encoder of text into the field at `path`; its errors name `name`.

    Raises:
        FieldPathError: a value of that field has no text form.
    """
    found = value_reader(path.leaf, numeric_bools=numeric_bools, ignores_case=ignores_case)
    if found is None:
        raise FieldPathError(f"{path.text}: a {path.leaf.name} has no text form")
    wire_type, read = found
    head = tag(path.leaf.number, wire_type)
    sized = wire_type == LENGTH
    enclose = encloser(path.fields[:-1])

    def encode(text: str) -> bytes:
        try:
            value = read(text)
        except ValueError as error:
            raise invalid_argument(name, str(error)) from None
        return head + varint(len(value)) + value if sized else head + value

    heads = text_heads(path)
    if heads is not None:
        return _text_encoder(heads, encode)
    if enclose is None:
        return encode
    return lambda text: enclose(encode(text))


def _text_encoder(heads: list[bytes], encode: Encoder) -> Encoder:
    def encode_text(text: str) -> bytes:
        # Encode a short ASCII string directly: nearly every one is; this avoids two calls.
        if text.isascii() and (size := len(text)) < SHORT:
            return heads[size] + text.encode()
        return encode(text)

    return encode_text


def text_heads(path: FieldPath) -> list[bytes] | None:
    """Returns the bytes before a short text of ASCII at `path`, by its length.

    None if the field is no string, or not of the message itself.
    """
    if len(path.fields) > 1 or path.leaf.type != FieldDescriptor.TYPE_STRING:
        return None
    return _text_heads(tag(path.leaf.number, LENGTH))


@cache
def _text_heads(head: bytes) -> list[bytes]:
    """The bytes before a short text, by its length; cached, as most fields share few numbers."""
    return [head + varint(size) for size in range(SHORT)]


def encloser(parents: tuple[FieldDescriptor, ...]) -> Callable[[bytes], bytes] | None:
    """Makes a function that wraps wire bytes into the messages at `parents`, if there are any."""
    if not parents:
        return None
    wrappers = [_wrapper(parent) for parent in reversed(parents)]

    def enclose(wire: bytes) -> bytes:
        for wrap in wrappers:
            wire = wrap(wire)
        return wire

    return wrappers[0] if len(wrappers) == 1 else enclose


def _wrapper(parent: FieldDescriptor) -> Callable[[bytes], bytes]:
    number = parent.number
    if parent.type == FieldDescriptor.TYPE_GROUP:
        start, end = tag(number, GROUP), tag(number, END_GROUP)
        return lambda wire: start + wire + end
    return lambda wire: length_delimited(number, wire)
