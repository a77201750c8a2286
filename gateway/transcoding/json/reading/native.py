"""The reader in native code: hands the plans of the definition to the module in Rust.

It reads documents that are right. Any other is read by the definition, which words the error: every
rule of refusal is in one place.
"""

from collections.abc import Callable
from itertools import count
from types import ModuleType
from typing import Final

from gateway.transcoding.json.reading import messages, scalars
from gateway.transcoding.json.reading.base import Plan, Value
from gateway.transcoding.json.reading.well_known import WELL_KNOWN

Read = Callable[[bytes], bytes]
"""Converts JSON to wire bytes; raises `StatusError`."""
_OTHER: Final = ("other",)
_TIMES: Final = {
    WELL_KNOWN["google.protobuf.Timestamp"]: "timestamp",
    WELL_KNOWN["google.protobuf.Duration"]: "duration",
}


class NativeReaders:
    """Makes the readers of message types; `depth` is the nesting limit of the text."""

    def __init__(self, module: ModuleType, depth: int) -> None:
        self._module = module
        self._depth = depth
        self._source = _PlanSource()
        self._plans = module.ReadPlans(self._source)

    def message(self, plan: Plan, definition: Read) -> Read:
        """Makes the reader of a message type; `definition` reads what the native one does not."""
        native = self._module.Reader(self._plans, self._source.index(plan), self._depth)

        def read(body: bytes) -> bytes:
            wire: bytes | None = native(body)
            return definition(body) if wire is None else wire

        return read


class _PlanSource:
    """The plans, as the native module asks for them. It names each by an index."""

    def __init__(self) -> None:
        self._next = count()
        self._plans: dict[int, Plan] = {}
        self._indexes: dict[Plan, int] = {}

    def index(self, plan: Plan) -> int:
        """Returns the index of a plan."""
        found = self._indexes.get(plan)
        if found is None:
            # Two threads may do this at once: each gets an index of its own, which is right too.
            found = next(self._next)
            self._plans[found] = plan
            self._indexes[plan] = found
        return found

    def describe(self, index: int) -> tuple[str, list[tuple[object, ...]]]:
        """Describes the plan at an index.

        Returns its form, and for each member the names, the number of the oneof or -1, if null is a
        value, and the value: its kind, and what that needs.
        """
        plan = self._plans[index]
        if not isinstance(plan, messages.MessagePlan):
            return _TIMES.get(plan, "other"), []
        names: dict[messages.Member, list[str]] = {}
        for name, member in plan.members().items():
            names.setdefault(member, []).append(name)
        return "object", [
            (own, member.oneof.bit_length() - 1, member.takes_null, self._value(member.value))
            for member, own in names.items()
        ]

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
        return "enum", *common, list(value.names.items()), value.is_closed
    kinds: dict[type, str] = {
        scalars.BoolValue: "bool",
        scalars.BoolKey: "boolkey",
        scalars.StringValue: "string",
        scalars.BytesValue: "bytes",
    }
    kind = kinds.get(type(value))
    return _OTHER if kind is None else (kind, *common)
