"""The schemas of messages and enums, which the document names as components.

A message has up to one schema for each use: a reply has all fields without presence (if
`json.emit_unset` is on), a request needs those that are REQUIRED (AIP-203), and an update none.
A type that is only received has its plain name, as one that is only sent.
"""

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import NamedTuple

from google.protobuf.descriptor import (
    Descriptor,
    EnumDescriptor,
    FieldDescriptor,
    OneofDescriptor,
)

from gateway.config.json import JsonOptions, Unknown
from gateway.openapi.behavior import behavior, mark
from gateway.openapi.comments import Json, Texts
from gateway.openapi.examples import add_example, add_message_example
from gateway.openapi.rules import Rules, add_rules
from gateway.openapi.values import default, map_keys, scalar, well_known

_NO_FIELDS: frozenset[int] = frozenset()


class Use(IntEnum):
    """The direction in which a message is sent."""

    REPLY = 0
    REQUEST = 1
    UPDATE = 2


_ENDINGS = {Use.REPLY: "", Use.REQUEST: "Input", Use.UPDATE: "Update"}


class _Key(NamedTuple):
    """The identity of a schema: a type, its use, and the fields that the URL sets instead."""

    full_name: str
    use: Use = Use.REPLY
    without: frozenset[int] = _NO_FIELDS


class Schemas:
    """Makes schemas on demand, and names them at the end."""

    def __init__(self, options: JsonOptions, texts: Texts, rules: Rules) -> None:
        self._options = options
        self.rules = rules
        """The rules that requests are checked against."""
        self._texts = texts
        self._built: dict[_Key, Json] = {}
        self._waiting: list[Callable[[], None]] = []
        self._references: list[tuple[_Key, Json]] = []
        """The target of each reference, and the part to complete."""

    def name(self, field: FieldDescriptor) -> str:
        """The name of a field in JSON, as replies have it."""
        name: str = field.name if self._options.proto_names else field.json_name
        return name

    def message(
        self,
        message: Descriptor,
        use: Use,
        without: frozenset[int] = _NO_FIELDS,
    ) -> Json:
        """The schema of a message: a reference, or that of a well-known type itself."""
        known = well_known(message.full_name)
        if known is not None:
            return known
        if use is Use.UPDATE and not any(behavior(field).is_required for field in message.fields):
            use = Use.REQUEST
        key = _Key(message.full_name, use, without)
        if key not in self._built:
            part = self._built[key] = {}
            self._waiting.append(lambda: self._fill(part, message, key))
        return self._refer(key)

    def field(
        self,
        field: FieldDescriptor,
        use: Use,
        without: frozenset[int] = _NO_FIELDS,
    ) -> Json:
        """The schema of a field's value, which may be a list or a map."""
        part = self._value(field, use, without)
        if use is not Use.REPLY:
            add_rules(part, self.rules.of(field))
        return part

    def _value(self, field: FieldDescriptor, use: Use, without: frozenset[int]) -> Json:
        """The schema of a field's value, without the rules of the field."""
        message = field.message_type
        if not field.is_repeated:
            return self._single(field, use, without)
        if message is None or not (message.has_options and message.GetOptions().map_entry):
            return {"type": "array", "items": self._single(field, use, without)}
        value = self._single(message.fields_by_name["value"], use, without)
        part: Json = {"type": "object", "additionalProperties": value}
        names = map_keys(message.fields_by_name["key"])
        if names is not None:
            part["propertyNames"] = names
        return part

    def components(self) -> Json:
        """The schemas by name, sorted; completes all references, so it is called last."""
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            for fill in waiting:
                fill()
        names = self._names()
        for key, part in self._references:
            part["$ref"] = f"#/components/schemas/{names[key]}"
        by_name = {names[key]: part for key, part in self._built.items()}
        return dict(sorted(by_name.items()))

    def _single(
        self,
        field: FieldDescriptor,
        use: Use,
        without: frozenset[int],
    ) -> Json:
        if field.enum_type is not None:
            return self._enum(field.enum_type)
        if field.message_type is not None:
            return self.message(field.message_type, use, without)
        return scalar(field)

    def _refer(self, key: _Key) -> Json:
        part: Json = {"$ref": ""}
        self._references.append((key, part))
        return part

    def _enum(self, enum: EnumDescriptor) -> Json:
        if enum.full_name == "google.protobuf.NullValue":
            return {"type": "null"}
        key = _Key(enum.full_name)
        if key not in self._built:
            self._built[key] = self._enum_schema(enum)
        return self._refer(key)

    def _enum_schema(self, enum: EnumDescriptor) -> Json:
        names = [value.name for value in enum.values]
        part: Json
        if self._options.enums_as_numbers:
            numbers = dict.fromkeys(value.number for value in enum.values)
            varnames = [enum.values_by_number[number].name for number in numbers]
            part = {"type": "integer", "enum": list(numbers), "x-enum-varnames": varnames}
        else:
            part = {"type": "string", "enum": names}
        texts = ((name, self._texts.of(f"{enum.full_name}.{name}")) for name in names)
        lines = [f"- `{name}`: {' '.join(text.split())}" for name, text in texts if text]
        self._texts.describe(part, enum.full_name, "\n".join(lines))
        if enum.has_options and enum.GetOptions().deprecated:
            part["deprecated"] = True
        return part

    def _fill(self, part: Json, message: Descriptor, key: _Key) -> None:
        """Completes the schema of a message."""
        properties: Json = {}
        required: list[str] = []
        inner_use = min(key.use, Use.REQUEST)
        for field in message.fields:
            if field.number in key.without:
                continue
            name, of = self.name(field), behavior(field)
            schema = self.field(field, inner_use)
            stated = default(field)
            if stated is not None:
                schema["default"] = stated
            mark(schema, of)
            add_example(schema, field, self._options)
            notes: Sequence[str] = ()
            if key.use is Use.REPLY:
                is_needed = field.is_required or (
                    self._options.emit_unset and not field.has_presence
                )
            else:
                rules = self.rules.of(field)
                is_wanted = key.use is Use.REQUEST and of.is_required and not of.is_output_only
                is_needed, notes = is_wanted or rules.is_required, rules.notes
            properties[name] = self._texts.describe(schema, field.full_name, *notes)
            if is_needed:
                required.append(name)
        part["type"] = "object"
        notes = self._choices(message, key.use)
        if key.use is not Use.REPLY:
            notes += self.rules.of_message(message)
        self._texts.describe(part, message.full_name, *notes)
        if required:
            part["required"] = required
        if properties:
            part["properties"] = properties
        is_closed = self._options.unknown_fields is Unknown.REJECT and not message.is_extendable
        if key.use is not Use.REPLY and is_closed:
            part["additionalProperties"] = False
        if key.use is not Use.REPLY and not key.without:
            add_message_example(part, message, self._options)
        if message.has_options and message.GetOptions().deprecated:
            part["deprecated"] = True

    def _choices(self, message: Descriptor, use: Use) -> list[str]:
        """A sentence for each oneof; that of a proto3 `optional` is no choice."""

        def told(oneof: OneofDescriptor) -> str:
            names = ", ".join(f"`{self.name(field)}`" for field in oneof.fields)
            needs_one = use is not Use.REPLY and self.rules.needs_one(oneof)
            return f"{'Exactly' if needs_one else 'At most'} one of {names} is set."

        return [told(oneof) for oneof in message.oneofs if len(oneof.fields) > 1]

    def _names(self) -> dict[_Key, str]:
        """The name of each schema: that of its type, with an ending for a second schema of it."""
        names: dict[_Key, str] = {}
        rest: list[_Key] = []
        for key in self._built:
            has_reply = key.use is Use.REQUEST and _Key(key.full_name) in self._built
            if key.without or key.use is Use.UPDATE or has_reply:
                rest.append(key)
            else:
                names[key] = key.full_name
        taken = set(names.values())
        for key in rest:
            ending = "Body" if key.without and key.use is Use.REQUEST else _ENDINGS[key.use]
            names[key] = _free(f"{key.full_name}{ending}", taken)
            taken.add(names[key])
        return names


def _free(wanted: str, taken: set[str]) -> str:
    """A name like `wanted` that is not taken."""
    number, name = 2, wanted
    while name in taken:
        name, number = f"{wanted}_{number}", number + 1
    return name
