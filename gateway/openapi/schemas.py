"""The schemas of messages and enums, which the document names as components.

A message has up to one schema for each use: a reply has all fields without presence (if
`json.emit_unset` is on), a request needs those that are REQUIRED (AIP-203), and an update none.
A type that is only received has its plain name, as one that is only sent.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum
from typing import Any, NamedTuple

from google.protobuf.descriptor import (
    Descriptor,
    EnumDescriptor,
    EnumValueDescriptor,
    FieldDescriptor,
)

from gateway.config.json import JsonOptions, Unknown
from gateway.config.openapi import OneofForm, OpenApiOptions, SchemaNames
from gateway.openapi.annotated_schemas import add_limits, add_words
from gateway.openapi.behavior import immutable, mark
from gateway.openapi.comments import Json, Texts
from gateway.openapi.examples import (
    add_checked_example,
    add_example,
    add_message_example,
    add_stated_example,
)
from gateway.openapi.leniency import admit_null, widen
from gateway.openapi.rules import NO_RULES, Rules, add_rules
from gateway.openapi.values import default, map_keys, or_number, scalar, strict_time, well_known
from gateway.openapi.visibility import Visibility
from gateway.schema.field_behavior import behavior

__all__ = ["Json", "Schemas", "Texts", "Use"]

_NO_FIELDS: frozenset[int] = frozenset()


class Use(IntEnum):
    """The direction in which a message is sent."""

    REPLY = 0
    REQUEST = 1
    UPDATE = 2


_ENDINGS = {Use.REPLY: "", Use.REQUEST: "Input", Use.UPDATE: "Update"}


class _Key(NamedTuple):
    """The identity of a schema: a type, its use, and the fields that the URL sets instead."""

    type: Descriptor | EnumDescriptor
    use: Use = Use.REPLY
    without: frozenset[int] = _NO_FIELDS


class _Property(NamedTuple):
    """A field in the schema of its message."""

    name: str
    schema: Json
    is_needed: bool
    """True if `required` names it."""
    has_rule: bool
    """True if a rule of requests needs it, in updates too."""


class Schemas:
    """Makes schemas on demand, and names them at the end."""

    def __init__(
        self, options: JsonOptions, texts: Texts, rules: Rules, described: OpenApiOptions
    ) -> None:
        self._options = options
        self.visibility = Visibility(described.visibility)
        self._has_short_names = described.names is SchemaNames.SHORT
        self._described = described
        self._is_lenient = described.lenient_input or described.nullable
        self._states_numbers = described.lenient_input and not options.enums_as_numbers
        self._constrains = described.oneof is OneofForm.CONSTRAINED
        self.rules = rules
        """The rules that requests are checked against."""
        self._texts = texts
        self._built: dict[_Key, Json] = {}
        self._waiting: list[Callable[[], None]] = []
        self._references: list[tuple[_Key, Json]] = []
        """The target of each reference, and the part to complete."""
        self._properties: dict[Use, dict[FieldDescriptor, _Property]] = {
            Use.REPLY: {},
            Use.REQUEST: {},
        }
        self._fields_of: dict[Descriptor, Sequence[FieldDescriptor]] = {}

    def name(self, field: FieldDescriptor) -> str:
        """The name of a field in JSON, as replies have it."""
        if field.is_extension:
            return f"[{field.full_name}]"
        name: str = field.name if self._options.proto_names else field.json_name
        return name

    def message(
        self,
        message: Descriptor,
        use: Use,
        without: frozenset[int] = _NO_FIELDS,
    ) -> Json:
        """The schema of a message: a reference, or that of a well-known type itself."""
        known = well_known(message.full_name, strict_floats=self._described.strict_floats)
        if known is not None:
            if self._described.strict_times and use is Use.REPLY:
                strict_time(message.full_name, known)
            return known
        if use is Use.UPDATE and not any(self._is_stated(field) for field in message.fields):
            use = Use.REQUEST
        key = _Key(message, use, without)
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
            if words := self._texts.words(field):
                add_limits(part, words)
        return part

    def needs(self, field: FieldDescriptor) -> bool:
        """True if a request needs a field, by a rule or by what the protos state."""
        return self.rules.of(field).is_required or self._is_stated(field)

    def _is_stated(self, field: FieldDescriptor) -> bool:
        return behavior(field).is_required or "isNeeded" in self._texts.words(field)

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

    def components(self, reserved: Iterable[str]) -> Json:
        """The schemas by name, sorted; completes all references, so it is called last.

        None of them has a `reserved` name.
        """
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            for fill in waiting:
                fill()
        names = self._names(set(reserved))
        for key, part in self._references:
            part["$ref"] = f"#/components/schemas/{names[key]}"
        by_name = {names[key]: part for key, part in self._built.items()}
        return dict(sorted(by_name.items()))

    def release(self) -> None:
        """Gives up what is kept to make more schemas, one by one."""
        kept: tuple[dict[Any, Any], ...] = (
            *(self._built, self._fields_of),
            *self._properties.values(),
        )
        for one in kept:
            while one:
                one.popitem()
        while self._references:
            self._references.pop()

    def _single(
        self,
        field: FieldDescriptor,
        use: Use,
        without: frozenset[int],
    ) -> Json:
        if field.enum_type is not None:
            named = self._enum(field.enum_type)
            return or_number(named) if self._states_numbers and use is not Use.REPLY else named
        if field.message_type is not None:
            return self.message(field.message_type, use, without)
        return scalar(field, strict_floats=self._described.strict_floats)

    def _refer(self, key: _Key) -> Json:
        part: Json = {"$ref": ""}
        self._references.append((key, part))
        return part

    def _enum(self, enum: EnumDescriptor) -> Json:
        if enum.full_name == "google.protobuf.NullValue":
            return {"type": "null"}
        key = _Key(enum)
        if key not in self._built:
            self._built[key] = self._enum_schema(enum)
        return self._refer(key)

    def _enum_schema(self, enum: EnumDescriptor) -> Json:
        # Of several names of one number, replies have the first.
        values: dict[int, EnumValueDescriptor] = {}
        for value in self.visibility.values(enum):
            values.setdefault(value.number, value)
        names = [value.name for value in values.values()]
        part: Json
        if self._options.enums_as_numbers:
            part = {"type": "integer", "enum": list(values), "x-enum-varnames": names}
        else:
            part = {"type": "string", "enum": names}
        texts = [self._value_text(value) for value in values.values()]
        lines = [f"- `{name}`: {text}" for name, text in zip(names, texts, strict=True) if text]
        if lines and not self._options.enums_as_numbers:
            part["x-enum-descriptions"] = texts
        notes = ["\n".join(lines)]
        if not enum.is_closed:
            part["x-extensible-enum"] = True
            notes.append("A reply may have a number that has no name here.")
        self._texts.describe(part, enum.full_name, *notes)
        add_words(part, self._texts.words(enum))
        if enum.has_options and enum.GetOptions().deprecated:
            part["deprecated"] = True
        return part

    def _value_text(self, value: EnumValueDescriptor) -> str:
        """The comment of a value of an enum on one line, and that it is deprecated."""
        enum: EnumDescriptor = value.type
        text = " ".join(self._texts.of(f"{enum.full_name}.{value.name}").split())
        if value.has_options and value.GetOptions().deprecated:
            return f"{text} Deprecated.".lstrip()
        return text

    def _fill(self, part: Json, message: Descriptor, key: _Key) -> None:
        """Completes the schema of a message."""
        properties: Json = {}
        required: list[str] = []
        inner_use = min(key.use, Use.REQUEST)
        for field in self.fields(message):
            if key.without and field.number in key.without:
                continue
            found = self._property(field, inner_use)
            properties[found.name] = found.schema
            if found.is_needed and (key.use is not Use.UPDATE or found.has_rule):
                required.append(found.name)
        part["type"] = "object"
        words = self._texts.words(message)
        notes = self._choices(message, key.use)
        if key.use is not Use.REPLY:
            notes += self.rules.of_message(message)
        self._texts.describe(part, message.full_name, *notes)
        if required:
            part["required"] = required
        part |= self._constraint(message, key)
        if properties:
            part["properties"] = properties
        if words:
            add_words(part, words)
        if key.use is not Use.REPLY:
            if self._options.unknown_fields is Unknown.REJECT:
                part["additionalProperties"] = False
            # An example has names of fields and enums as JSON usually has them.
            has_usual_names = not (self._options.proto_names or self._options.enums_as_numbers)
            if has_usual_names and not key.without:
                add_message_example(part, message, words)
        if message.has_options and message.GetOptions().deprecated:
            part["deprecated"] = True

    def fields(self, message: Descriptor) -> Sequence[FieldDescriptor]:
        """The fields of a message that are shown; kept, because each list is made anew."""
        found = self._fields_of.get(message)
        if found is None:
            found = self._fields_of[message] = self.visibility.fields(message)
        return found

    def _property(self, field: FieldDescriptor, use: Use) -> _Property:
        """The property of a field, the same object wherever the field is described alike."""
        found = self._properties[use].get(field)
        if found is None:
            found = self._properties[use][field] = self._new_property(field, use)
        return found

    def _new_property(self, field: FieldDescriptor, use: Use) -> _Property:
        of, rules, words = behavior(field), self.rules.of(field), self._texts.words(field)
        other = self._properties[Use.REQUEST if use is Use.REPLY else Use.REPLY].get(field)
        # A schema that refers to no message is the same in both directions, but for its rules.
        is_same = field.message_type is None and rules is NO_RULES and not words
        if other is not None and is_same and not self._is_lenient:
            name, schema = other.name, other.schema
        else:
            name, schema = self.name(field), self.field(field, use)
            stated = default(field)
            if stated is not None:
                schema["default"] = stated
            mark(schema, of)
            if field.enum_type is None or not self._options.enums_as_numbers:
                add_example(schema, field, of.example)
                if words:
                    add_stated_example(schema, field, words)
                add_checked_example(schema, field, rules.example)
            if words:
                add_words(schema, words)
            if other is not None and rules is NO_RULES:
                if "description" in other.schema:
                    schema["description"] = other.schema["description"]
            else:
                notes = () if use is Use.REPLY else rules.notes
                self._texts.describe(schema, field.full_name, *notes, *immutable(of))
        if use is Use.REPLY:
            is_always_there = not (field.has_presence or field.is_extension)
            is_needed = field.is_required or (self._options.emit_unset and is_always_there)
        else:
            is_set_here = not (of.is_output_only or words.get("readOnly"))
            is_needed = rules.is_required or (
                is_set_here and (of.is_required or "isNeeded" in words)
            )
            schema = self._as_accepted(schema, is_needed=is_needed)
        return _Property(name, schema, is_needed, rules.is_required)

    def _as_accepted(self, schema: Json, *, is_needed: bool) -> Json:
        """The schema of a member of a request, with the forms that the settings have stated."""
        if self._described.lenient_input:
            widen(schema)
        return admit_null(schema) if self._described.nullable and not is_needed else schema

    def _choices(self, message: Descriptor, use: Use) -> list[str]:
        """A sentence for each oneof; that of a proto3 `optional` is no choice."""
        shown = set(self.fields(message)) if message.oneofs else set()
        found: list[str] = []
        for oneof in message.oneofs:
            names = [f"`{self.name(field)}`" for field in oneof.fields if field in shown]
            needs_one = use is not Use.REPLY and self.rules.needs_one(oneof)
            # A field that is not shown can be the one that is set.
            extent = "Exactly" if needs_one and len(names) == len(oneof.fields) else "At most"
            if len(names) > 1:
                found.append(f"{extent} one of {', '.join(names)} is set.")
        return found

    def _constraint(self, message: Descriptor, key: _Key) -> Json:
        """The keyword by which a request sets one field of each oneof, if it is wanted."""
        if not self._constrains or key.use is Use.REPLY:
            return {}
        shown = {one for one in self.fields(message) if one.number not in key.without}
        choices: list[Json] = []
        for oneof in message.oneofs:
            names = [self.name(field) for field in oneof.fields if field in shown]
            single: list[Json] = [{"required": [name]} for name in names]
            # A field that the path sets is one of the choices.
            needs_one = self.rules.needs_one(oneof) and len(names) == len(oneof.fields)
            if len(oneof.fields) > 1 and names:
                none = [] if needs_one else [{"not": {"anyOf": single}}]
                choices.append({"oneOf": [*single, *none]})
        return {"allOf": choices} if choices else {}

    def _names(self, taken: set[str]) -> dict[_Key, str]:
        """The name of each schema: that of its type, with an ending for a second schema of it."""
        of_type = self._short_names() if self._has_short_names else {}
        names: dict[_Key, str] = {}
        rest: list[_Key] = []
        for key in self._built:
            has_reply = key.use is Use.REQUEST and _Key(key.type) in self._built
            if key.without or key.use is Use.UPDATE or has_reply:
                rest.append(key)
            else:
                names[key] = _free(of_type.get(key.type) or key.type.full_name, taken)
                taken.add(names[key])
        for key in rest:
            ending = "Body" if key.without and key.use is Use.REQUEST else _ENDINGS[key.use]
            name = of_type.get(key.type) or key.type.full_name
            names[key] = _free(f"{name}{ending}", taken)
            taken.add(names[key])
        return names

    def _short_names(self) -> dict[Descriptor | EnumDescriptor, str]:
        """The name of each type without its package, if no other type has it."""
        types = dict.fromkeys(key.type for key in self._built)
        short = {one: one.full_name.removeprefix(f"{one.file.package}.") for one in types}
        uses = Counter(short.values())
        return {one: name for one, name in short.items() if uses[name] == 1}


def _free(wanted: str, taken: set[str]) -> str:
    """A name like `wanted` that is not taken."""
    number, name = 2, wanted
    while name in taken:
        name, number = f"{wanted}_{number}", number + 1
    return name
