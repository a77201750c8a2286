"""Makes the plans by which messages are written as JSON, from their descriptors.

The plan of a type refers to those of its fields' types, which are made when they are first needed:
in a large schema most types are never written.
"""

import json
from typing import Final, cast

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from gateway.config.json import JsonOptions
from gateway.transcoding.field_masks import Find
from gateway.transcoding.json.message_fields import WRAPPERS, entry_fields, parts_of
from gateway.transcoding.json.writing.drafts import Field, Plan, PlanSource
from gateway.transcoding.json.writing.field_plans import (
    MapField,
    MessageField,
    PackedField,
    RepeatedField,
    RepeatedMessageField,
    ScalarField,
)
from gateway.transcoding.json.writing.scalars import (
    BoolScalar,
    BytesScalar,
    DoubleScalar,
    EnumScalar,
    Fixed32Scalar,
    Fixed64Scalar,
    FloatScalar,
    IntegerScalar,
    NullScalar,
    Scalar,
    StringScalar,
    base64_json,
    double_json,
    octets,
    quote,
)
from gateway.transcoding.json.writing.well_known import OnlyFieldPlan, ValuePlan, own_plan
from gateway.transcoding.selections import Selection
from gateway.transcoding.wire import END_GROUP, GROUP, LENGTH

_F: Final = FieldDescriptor
_SCALARS: Final[dict[int, Scalar]] = {
    _F.TYPE_STRING: StringScalar(),
    _F.TYPE_BYTES: BytesScalar(),
    _F.TYPE_INT32: IntegerScalar(32, signed=True),
    _F.TYPE_INT64: IntegerScalar(64, signed=True),
    _F.TYPE_UINT32: IntegerScalar(32, signed=False),
    _F.TYPE_UINT64: IntegerScalar(64, signed=False),
    _F.TYPE_SINT32: IntegerScalar(32, signed=True, zigzag=True),
    _F.TYPE_SINT64: IntegerScalar(64, signed=True, zigzag=True),
    _F.TYPE_FIXED32: Fixed32Scalar(signed=False),
    _F.TYPE_FIXED64: Fixed64Scalar(signed=False),
    _F.TYPE_SFIXED32: Fixed32Scalar(signed=True),
    _F.TYPE_SFIXED64: Fixed64Scalar(signed=True),
    _F.TYPE_BOOL: BoolScalar(),
    _F.TYPE_FLOAT: FloatScalar(),
    _F.TYPE_DOUBLE: DoubleScalar(),
}
_NULL: Final = "google.protobuf.NullValue"
_STRUCT: Final = ("google.protobuf.Struct", "google.protobuf.ListValue")
_UNSET: Final = {
    "google.protobuf.ListValue": "[]",
    "google.protobuf.Value": "null",
    "google.protobuf.Timestamp": "null",
    "google.protobuf.Duration": "null",
    "google.protobuf.FieldMask": '""',
    **dict.fromkeys(WRAPPERS, "null"),
}
"""The JSON of an unset field of messages for which `{}` is not a JSON form."""


class WritePlans(PlanSource):
    """The plans of one schema; `find` resolves the types that an Any may hold."""

    def __init__(self, find: Find, options: JsonOptions) -> None:
        self.find = find
        """Returns the type that an Any may hold, by its full name."""
        self._unset = options.emit_unset
        self._numbers = options.enums_as_numbers
        self._proto_names = options.proto_names
        self._plans: dict[Descriptor, Plan] = {}
        self._enums: dict[EnumDescriptor, Scalar] = {}

    def of(self, message: object) -> Plan:
        """Returns the plan of a message type."""
        kind = cast("Descriptor", message)
        plan = self._plans.get(kind)
        if plan is None:
            # Two threads may make the same plan; either is right.
            plan = self._plans[kind] = self._make(kind)
        return plan

    def named(self, name: str) -> Plan | None:
        """Returns the plan of the type with this full name if an Any may hold it, else None."""
        message = self.find(name)
        return None if message is None else self.of(message)

    def chosen(self, message: object, selection: Selection) -> Plan:
        """Makes the plan of a message type that writes the chosen fields only."""
        kind = cast("Descriptor", message)
        return self.of(kind) if selection.is_whole else self._make(kind, selection)

    def only(
        self, field: FieldDescriptor, selection: Selection | None = None
    ) -> tuple[Plan, Field]:
        """Makes a plan that reads one field of its message; returns the field in it, too.

        `selection` is the choice among the fields below it, if there is one.
        The plan has the other members of the field's oneof, because they unset the field.
        """
        oneof, owner = field.containing_oneof, field.containing_type
        plan = Plan("" if owner is None else owner.full_name)
        oneofs: dict[str, int] = {}
        made = self._add(plan, field, oneofs, unset=self._unset, selection=selection)
        for other in [] if oneof is None else oneof.fields:
            if other.number != field.number:
                self._add(plan, other, oneofs, unset=self._unset)
        return plan, made

    def unset_json(self, field: FieldDescriptor) -> str:
        """Returns the JSON of a field that is not set."""
        if entry_fields(field):
            return "{}"
        if field.is_repeated:
            return "[]"
        if field.message_type is not None:
            return _UNSET.get(field.message_type.full_name, "{}")
        value = field.default_value
        if field.enum_type is not None:
            return _enum_texts(field.enum_type, numbers=self._numbers)[value]
        if isinstance(value, bytes):
            return base64_json(value)
        if isinstance(value, float):
            return double_json(value)
        if isinstance(value, str):
            return quote(octets(value.encode()))
        wide = field.cpp_type in (_F.CPPTYPE_INT64, _F.CPPTYPE_UINT64)
        return json.dumps(str(value) if wide else value)

    def _make(self, message: Descriptor, selection: Selection | None = None) -> Plan:
        name = message.full_name
        plan = own_plan(name, self)
        if plan is not None:
            return plan
        if name in WRAPPERS or name in _STRUCT:
            plan = OnlyFieldPlan(name, form="only")
            self._add(plan, message.fields[0], {}, unset=True)
            return plan
        is_value = name == "google.protobuf.Value"
        plan = ValuePlan(name, form="value") if is_value else Plan(name)
        oneofs: dict[str, int] = {}
        for field in parts_of(message):
            if selection is None:
                self._add(plan, field, oneofs, unset=self._unset)
            elif field.number in selection.fields:
                below = selection.fields[field.number]
                self._add(plan, field, oneofs, unset=self._unset, selection=below)
        return plan

    def _add(
        self,
        plan: Plan,
        field: FieldDescriptor,
        oneofs: dict[str, int],
        *,
        unset: bool,
        selection: Selection | None = None,
    ) -> Field:
        """Adds a field to a plan; `unset` is true if fields are written that are not set.

        `oneofs` has the index of each oneof in `Draft.chosen`, by its name; `selection` is the
        choice among the fields below the field.
        """
        source: PlanSource = self if selection is None else ChosenPlans(self, selection)
        always = unset and not field.has_presence and not field.is_extension
        made = self._singular(field, source, always=always)
        if field.is_repeated:
            made = self._repeated(field, source)
        made.slot = len(plan.parts) - 1
        made.name = f",{quote(octets(self._json_name(field).encode()))}:"
        if always and not plan.has_own_form:
            plan.unset_values += 1
        if always and made.slot == 1:
            plan.is_first_set = True
            made.name = made.name[1:]
        shown = (made.name, self.unset_json(field)) if always else ("", "")
        plan.parts[made.slot : made.slot] = shown
        oneof = field.containing_oneof
        if oneof is not None:
            made.oneof = oneofs.setdefault(oneof.name, len(oneofs))
            plan.chosen = [None] * len(oneofs)
        if not isinstance(made, ScalarField):
            made.held = len(plan.holders)
            plan.holders.append(made)
            plan.held.append(None)
        self._add_tags(plan, field, made)
        return made

    def _add_tags(self, plan: Plan, field: FieldDescriptor, made: Field) -> None:
        """Sets the field of each tag that begins a value: a list of numbers has two (packed)."""
        number = field.number << 3
        if isinstance(made, RepeatedField):
            scalar = self._scalar(field)
            plan.add(number | scalar.wire_type, made)
            if scalar.wire_type != LENGTH:
                packed = PackedField(scalar)
                packed.name, packed.slot, packed.held = made.name, made.slot, made.held
                plan.add(number | LENGTH, packed)
        elif field.type == _F.TYPE_GROUP:
            plan.add(number | GROUP, made)
        else:
            is_message = field.message_type is not None
            plan.add(number | (LENGTH if is_message else self._scalar(field).wire_type), made)

    def _singular(self, field: FieldDescriptor, source: PlanSource, *, always: bool) -> Field:
        if field.message_type is not None:
            return MessageField(source, field.message_type, _closing(field))
        implicit = not field.has_presence
        return ScalarField(self._scalar(field), always=always, implicit=implicit)

    def _repeated(self, field: FieldDescriptor, source: PlanSource) -> Field:
        entry = entry_fields(field)
        if entry is not None:
            key, value = entry
            kind = value.message_type
            scalar = self._scalar(value) if kind is None else None
            return MapField(self._scalar(key), scalar, self, kind)
        if field.message_type is not None:
            return RepeatedMessageField(source, field.message_type, _closing(field))
        return RepeatedField(self._scalar(field))

    def _scalar(self, field: FieldDescriptor) -> Scalar:
        enum = field.enum_type
        if enum is None:
            return _SCALARS[field.type]
        if enum.full_name == _NULL:
            return NullScalar()
        found = self._enums.get(enum)
        if found is None:
            texts = _enum_texts(enum, numbers=self._numbers)
            # The default of a map's value: the first number of a closed enum, else zero.
            default = texts[enum.values[0].number]
            found = self._enums[enum] = EnumScalar(texts, default, closed=enum.is_closed)
        return found

    def _json_name(self, field: FieldDescriptor) -> str:
        if field.is_extension:
            return f"[{field.full_name}]"
        return field.name if self._proto_names else field.json_name


class ChosenPlans(PlanSource):
    """The plans below one field, of which some fields are chosen."""

    def __init__(self, plans: WritePlans, selection: Selection) -> None:
        self._plans = plans
        self._selection = selection

    def of(self, message: object) -> Plan:
        """Returns the plan of the field's message type."""
        return self._plans.chosen(message, self._selection)

    def named(self, name: str) -> Plan | None:
        """Returns the plan of the type with this full name if an Any may hold it, else None."""
        return self._plans.named(name)


def _closing(field: FieldDescriptor) -> int:
    """Returns the tag that ends a group; 0 if the field is none."""
    return field.number << 3 | END_GROUP if field.type == _F.TYPE_GROUP else 0


def _enum_texts(enum: EnumDescriptor, *, numbers: bool) -> dict[int, str]:
    """Returns the JSON of each number of an enum: of several names, the first one."""
    if enum.full_name == _NULL:
        return {0: "null"}
    return {
        value.number: str(value.number) if numbers else quote(octets(value.name.encode()))
        for value in reversed(enum.values)
    }
