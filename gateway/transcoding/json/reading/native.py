"""The reader in native code: hands the plans of the definition to the module in Rust.

It reads documents that are right. Any other is read by the definition, which words the error: every
rule of refusal is in one place.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Final, cast

from gateway.transcoding.json.native import Indexes
from gateway.transcoding.json.reading import messages, scalars
from gateway.transcoding.json.reading.messages import Plan, Value
from gateway.transcoding.json.reading.well_known import WELL_KNOWN, AnyPlan, WrapperPlan

Read = Callable[[bytes], bytes]
"""Converts JSON to wire bytes; raises `StatusError`."""
_OTHER: Final = ("other",)
_FORMS: Final = {
    WELL_KNOWN["google.protobuf.Timestamp"]: "timestamp",
    WELL_KNOWN["google.protobuf.Duration"]: "duration",
    WELL_KNOWN["google.protobuf.FieldMask"]: "mask",
    WELL_KNOWN["google.protobuf.Value"]: "value",
    WELL_KNOWN["google.protobuf.Struct"]: "struct",
    WELL_KNOWN["google.protobuf.ListValue"]: "array",
}

_Part = Plan | messages.Member
"""The two kinds of a body: a message, or the value of one field."""
_Described = tuple[str, list[tuple[object, ...]], list[str] | None]


class NativeReaders:
    """Makes the readers of bodies; `depth` is the nesting limit of the text."""

    def __init__(self, module: ModuleType, depth: int) -> None:
        self._module = module
        self._depth = depth
        self._source = _PlanSource()
        self._plans = module.ReadPlans(self._source)

    def reader(self, part: _Part, definition: Read) -> Read:
        """Makes the reader of a whole message, or of bodies that are one of its fields.

        `definition` reads what the native one does not.
        """
        reader = self._module.Reader
        made = reader(self._plans, self._source.index(part), self._depth, definition)
        return cast("Read", made.read)


class _PlanSource(Indexes[_Part]):
    """The plans, as the native module asks for them. It names each by an index."""

    def held(self, index: int, name: str) -> int:
        """Returns the index of a type that the Any at an index may hold, or -1."""
        plan = self.part(index)
        held = plan.find(name) if isinstance(plan, AnyPlan) else None
        return -1 if held is None else self.index(held)

    def describe(self, index: int) -> _Described:
        """Describes the plan at an index.

        Returns its form; for each member the names, the number of the oneof or -1, if null is a
        value, and the value: its kind, and what that needs; and the names of members that are
        ignored, None for all.
        """
        part = self.part(index)
        if isinstance(part, messages.Member):
            return "field", [([], -1, part.takes_null, self._value(part.value))], []
        if isinstance(part, WrapperPlan):
            return "wrapper", [([], -1, False, self._value(part.value))], []
        if isinstance(part, AnyPlan):
            return "any", [], []
        if not isinstance(part, messages.MessagePlan):
            return _FORMS.get(part, "other"), [], []
        names: dict[messages.Member, list[str]] = {}
        for name, member in part.members().items():
            names.setdefault(member, []).append(name)
        members: list[tuple[object, ...]] = [
            (own, member.oneof.bit_length() - 1, member.takes_null, self._value(member.value))
            for member, own in names.items()
        ]
        return "object", members, None if part.ignored is None else list(part.ignored)

    def _value(self, value: Value) -> tuple[object, ...]:
        if isinstance(value, scalars.Scalar):
            return _scalar(value)
        if isinstance(value, messages.MessageValue):
            return "message", value.head, b"", self.index(value.plan)
        if isinstance(value, messages.GroupValue):
            return "message", value.head, value.end, self.index(value.plan)
        if isinstance(value, messages.ListValue):
            return "list", value.head, self._value(value.item)
        if isinstance(value, messages.MapValue):
            return "map", value.head, self._value(value.key), self._value(value.value)
        return _OTHER


def _scalar(value: scalars.Scalar) -> tuple[object, ...]:
    """Describes a scalar: kind, tag, if the default is left out, and what the kind needs."""
    common = (value.head, value.omits_default)
    if isinstance(value, scalars.IntegerValue):
        return "integer", *common, value.low, value.high, value.encoding
    if isinstance(value, scalars.NumberValue):
        return "float" if value.single else "double", *common
    if isinstance(value, scalars.EnumValue):
        return "enum", *common, list(value.names.items()), value.is_closed, value.is_null
    kinds: dict[type, str] = {
        scalars.BoolValue: "bool",
        scalars.BoolKey: "boolkey",
        scalars.StringValue: "string",
        scalars.BytesValue: "bytes",
    }
    kind = kinds.get(type(value))
    return _OTHER if kind is None else (kind, *common)
