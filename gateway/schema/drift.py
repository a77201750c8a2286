"""Differences between the methods of a schema and what a back end says of itself; pure."""

from collections.abc import Iterable, Iterator, Mapping

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.schema.catalog import Method


def differences(ours: Iterable[Method], theirs: Mapping[str, Method]) -> Iterator[str]:
    """Yields each difference that a call can meet, once; nothing for what only they have.

    Fields are compared by number, as on the wire, in all messages below a method. A field that they
    alone have is no difference: the gateway does not know it, as an older client would not.
    """
    seen: set[str] = set()
    for method in ours:
        other = theirs.get(method.full_name)
        if other is None:
            yield f"{method.full_name} is not there"
            continue
        if _kind(method) != _kind(other):
            yield f"{method.full_name} is {_kind(other)} there, and {_kind(method)} here"
        for mine, its in ((method.input, other.input), (method.output, other.output)):
            if mine.full_name != its.full_name:
                yield f"{method.full_name} uses {its.full_name} there, and {mine.full_name} here"
            else:
                yield from _of_messages(mine, its, seen)


def _of_messages(mine: Descriptor, its: Descriptor, seen: set[str]) -> Iterator[str]:
    waiting = [(mine, its)]
    while waiting:
        mine, its = waiting.pop()
        if mine.full_name in seen:
            continue
        seen.add(mine.full_name)
        for number, field in mine.fields_by_number.items():
            other = its.fields_by_number.get(number)
            if other is None:
                yield f"{field.full_name} = {number} is not there"
            elif _type(field) != _type(other):
                types = f"{_type(other)} there, and {_type(field)} here"
                yield f"{field.full_name} = {number} is {types}"
            elif field.message_type is not None and other.message_type is not None:
                waiting.append((field.message_type, other.message_type))


def _kind(method: Method) -> str:
    names = ("unary", "server-streaming", "client-streaming", "bidirectional")
    return names[2 * method.client_streaming + method.server_streaming]


def _type(field: FieldDescriptor) -> str:
    """Returns the type of a field as a .proto file has it."""
    named = field.message_type or field.enum_type
    name = named.full_name if named is not None else _SCALARS[field.type]
    return f"repeated {name}" if field.is_repeated else name


_SCALARS = {
    getattr(FieldDescriptor, f"TYPE_{name.upper()}"): name
    for name in (
        *("double", "float", "int64", "uint64", "int32", "fixed64", "fixed32", "bool", "string"),
        *("group", "bytes", "uint32", "sfixed32", "sfixed64", "sint32", "sint64"),
    )
}
