"""Makes the plan of each message type from its descriptor, when it is first used."""

from collections.abc import Callable, Collection
from functools import partial

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.transcoding.json.message_fields import WRAPPERS, entry_fields, parts_of
from gateway.transcoding.json.reading import scalars
from gateway.transcoding.json.reading.messages import (
    GroupValue,
    ListValue,
    MapValue,
    Member,
    MessagePlan,
    MessageValue,
    Plan,
    Value,
)
from gateway.transcoding.json.reading.well_known import WELL_KNOWN, AnyPlan, WrapperPlan
from gateway.transcoding.wire import END_GROUP, INTEGERS, LENGTH, tag, wire_type_of

_F = FieldDescriptor


class Plans:
    """Makes plans, and remembers them; `find` resolves the types in an Any.

    Members without a field are refused, except those in `ignored`. None ignores all, and also
    unknown names of enum values: the field counts as absent, as protobuf's conformance suite
    requires. With `ignores_case`, names of enum values are compared without their case.

    Threads may share it: a plan that two make at once is only made twice.
    """

    def __init__(
        self,
        find: Callable[[str], Descriptor | None],
        ignored: Collection[str] | None,
        *,
        ignores_case: bool = False,
    ) -> None:
        self._ignores_case = ignores_case
        self._find = find
        self._ignored = ignored
        self._plans: dict[str, Plan] = {
            **WELL_KNOWN,
            "google.protobuf.Any": AnyPlan(self._find_plan, self._ignores),
        }

    def message(self, message: Descriptor) -> Plan:
        """Returns the plan of a message type."""
        name = message.full_name
        plan = self._plans.get(name)
        if plan is None:
            plan = self._plans.setdefault(name, self._make(message))
        return plan

    def member(self, field: FieldDescriptor, bit: int = 1, oneof: int = 0) -> Member:
        """Makes the reader of a field as a member of an object, or as a body of its own."""
        name = f"[{field.full_name}]" if field.is_extension else field.json_name
        return Member(name, self._field(field), bit, oneof, takes_null=takes_null(field))

    def _find_plan(self, name: str) -> Plan | None:
        found = self._find(name)
        return None if found is None else self.message(found)

    def _ignores(self, name: str | bytes) -> bool:
        return self._ignored is None or name in self._ignored

    def _make(self, message: Descriptor) -> Plan:
        if message.full_name in WRAPPERS:
            value = message.fields_by_name["value"]
            return WrapperPlan(self._single(value, _tag_of(value), omits_default=True))
        return MessagePlan(partial(self._members, message), self._ignored)

    def _members(self, message: Descriptor) -> dict[str, Member]:
        members: dict[str, Member] = {}
        oneofs = [oneof.name for oneof in message.oneofs if len(oneof.fields) > 1]
        for index, field in enumerate(parts_of(message)):
            oneof = field.containing_oneof
            # A oneof with one member, such as that of a proto3 `optional`, has no choice.
            choice = oneof is not None and oneof.name in oneofs
            bit = 1 << oneofs.index(oneof.name) if oneof is not None and choice else 0
            member = self.member(field, 1 << index, bit)
            if not field.is_extension:
                members[field.name] = member
            members[member.name] = member
        return members

    def _field(self, field: FieldDescriptor) -> Value:
        entry = entry_fields(field)
        if entry is not None:
            key, value = entry
            return MapValue(tag(field.number, LENGTH), self._key(key), self._always(value))
        if not field.is_repeated:
            return self._single(field, _tag_of(field), omits_default=not field.has_presence)
        if field.is_packed:
            item = self._single(field, b"", omits_default=False)
            return ListValue(tag(field.number, LENGTH), item)
        return ListValue(b"", self._always(field))

    def _always(self, field: FieldDescriptor) -> Value:
        """Makes the reader of a value that is written even if it is the default."""
        return self._single(field, _tag_of(field), omits_default=False)

    def _key(self, key: FieldDescriptor) -> Value:
        if key.type == _F.TYPE_BOOL:
            return scalars.BoolKey(_tag_of(key), omits_default=False)
        return self._always(key)

    def _single(self, field: FieldDescriptor, head: bytes, *, omits_default: bool) -> Value:
        kind = field.type
        if field.message_type is not None:
            plan = self.message(field.message_type)
            if kind == _F.TYPE_GROUP:
                return GroupValue(head, tag(field.number, END_GROUP), plan)
            return MessageValue(head, plan)
        if field.enum_type is not None:
            return scalars.EnumValue(
                head,
                field.enum_type,
                ignores_unknown=self._ignored is None,
                ignores_case=self._ignores_case,
                omits_default=omits_default,
            )
        if kind in INTEGERS:
            return scalars.IntegerValue(head, INTEGERS[kind], omits_default=omits_default)
        if kind in (_F.TYPE_DOUBLE, _F.TYPE_FLOAT):
            single = kind == _F.TYPE_FLOAT
            return scalars.NumberValue(head, single=single, omits_default=omits_default)
        if kind == _F.TYPE_BOOL:
            return scalars.BoolValue(head, omits_default=omits_default)
        if kind == _F.TYPE_STRING:
            return scalars.StringValue(head, omits_default=omits_default)
        return scalars.BytesValue(head, omits_default=omits_default)


def takes_null(field: FieldDescriptor) -> bool:
    """True if null is a value of this field and does not mean that it is absent."""
    if field.is_repeated:
        return False
    kind = field.message_type or field.enum_type
    return kind is not None and kind.full_name in (
        "google.protobuf.Value",
        "google.protobuf.NullValue",
    )


def _tag_of(field: FieldDescriptor) -> bytes:
    return tag(field.number, wire_type_of(field))
