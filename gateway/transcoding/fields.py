"""Dotted field paths resolved on descriptors, and what puts a value there on the wire."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.status import invalid_argument
from gateway.transcoding.text_values import has_members, read_string, value_reader
from gateway.transcoding.wire import END_GROUP, GROUP, LENGTH, length_delimited, tag, varint

Encoder = Callable[[str], bytes]
"""Decoded text to the wire bytes of the message a path starts from; raises `StatusError`."""

_SHORT: Final = 128

Position = tuple[int, ...]
"""Where something stands in a message: the field numbers that lead to it."""


class FieldPathError(ValueError):
    """A field path that leads nowhere in its message; the text says at which step.

    `reached` is the part of the path that does lead somewhere, or None.
    """

    def __init__(self, text: str, reached: "FieldPath | None" = None) -> None:
        super().__init__(text)
        self.reached = reached


@dataclass(frozen=True, slots=True)
class FieldPath:
    """The fields from a message down to one of them; never empty."""

    fields: tuple[FieldDescriptor, ...]

    @property
    def leaf(self) -> FieldDescriptor:
        """The field the path ends at."""
        return self.fields[-1]

    @property
    def text(self) -> str:
        """In the names of the .proto file: `book.shelf_name`."""
        return ".".join(field.name for field in self.fields)

    @property
    def json(self) -> str:
        """In JSON names: `book.shelfName`."""
        return ".".join(field.json_name for field in self.fields)

    @property
    def numbers(self) -> Position:
        """In field numbers."""
        return tuple(field.number for field in self.fields)

    def overlaps(self, other: "FieldPath") -> bool:
        """Whether one of the two contains the other, or they are the same."""
        return all(a == b for a, b in zip(self.numbers, other.numbers, strict=False))

    def choices(self) -> Iterator[tuple[tuple[Position, str], int]]:
        """Each oneof that setting this path decides, and the number of the member it chooses."""
        for depth, field in enumerate(self.fields):
            oneof = field.containing_oneof
            # A oneof of one, such as the one behind a proto3 `optional`, leaves no choice.
            if oneof is not None and len(oneof.fields) > 1:
                yield (self.numbers[:depth], oneof.name), field.number


def resolve(message: Descriptor, path: str, *, json_names: bool = False) -> FieldPath:
    """The fields that `path` names in `message`; JSON names count too where asked for.

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
            # Guessing is slow and for operators: JSON names come from clients, maybe hostile ones.
            near = [] if json_names else get_close_matches(step, list(scope.fields_by_name), n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise FieldPathError(
                f"{path}: {scope.full_name} has no field {step}{hint}",
                FieldPath(fields) if fields else None,
            )
        fields = (*fields, field)
    return FieldPath(fields)


def _scope_of(fields: tuple[FieldDescriptor, ...], path: str) -> Descriptor:
    """The message in which the step behind `fields` is looked up."""
    last = fields[-1]
    scope = last.message_type
    if last.is_repeated:
        why = f"{last.name} is a list or map, which has no path"
    elif scope is None:
        why = f"{last.name} has no fields of its own"
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
    """Refuses a path variable that no segment of a URL can fill (http.proto, HttpRule).

    Raises:
        FieldPathError: the field is a list, a map, or a message that is not spelled as one text.
    """
    if path.leaf.is_repeated:
        raise FieldPathError(f"{path.text}: a list or map cannot be a path variable")
    message = path.leaf.message_type
    empty = message is not None and message.full_name == "google.protobuf.Empty"
    if empty or value_reader(path.leaf) is None:
        raise FieldPathError(f"{path.text}: a message cannot be a path variable")


def path_encoder(path: FieldPath) -> Encoder:
    """What puts the text of a path variable into its field.

    A default value is written too: it must win over whatever a body says.

    Raises:
        FieldPathError: no text can say a value of that field.
    """
    check_path_variable(path)
    return field_encoder(path, path.json)


def field_encoder(path: FieldPath, name: str, *, numeric_bools: bool = False) -> Encoder:
    """What puts text into the field at `path`, blaming `name` for text that does not fit it.

    Raises:
        FieldPathError: no text can say a value of that field.
    """
    found = value_reader(path.leaf, numeric_bools=numeric_bools)
    if found is None:
        raise FieldPathError(f"{path.text}: no text can say a {path.leaf.name}")
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

    def encode_text(text: str) -> bytes:
        # Saves two calls for what nearly every variable is: a short string of ASCII.
        if text.isascii() and (size := len(text)) < _SHORT:
            return heads[size] + text.encode()
        return encode(text)

    if read is read_string and enclose is None:
        heads = _text_heads(head)
        return encode_text
    if enclose is None:
        return encode
    return lambda text: enclose(encode(text))


@cache
def _text_heads(head: bytes) -> Sequence[bytes]:
    """What precedes a short text, by its length; shared, as most fields have one of few numbers."""
    return [head + varint(size) for size in range(_SHORT)]


def encloser(parents: tuple[FieldDescriptor, ...]) -> Callable[[bytes], bytes] | None:
    """What wraps wire bytes into the messages at `parents`, or None where there are none."""
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
