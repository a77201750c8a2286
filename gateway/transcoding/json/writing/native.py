"""Writers in native code: hands the plans of the definition to the module in Rust.

A plan is described once, as a tuple, when the first message of its type is written. Which writer is
used is decided when it is made: the native one has every kind of field that a plan may have, and
refuses a plan that names another.
"""

from collections.abc import Callable
from types import ModuleType
from typing import cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.transcoding.field_masks import spell_path
from gateway.transcoding.json.native import Indexes, native_module
from gateway.transcoding.json.writing.drafts import (
    ANY_NUMBER,
    Field,
    Plan,
    refusal,
    too_many_values,
)
from gateway.transcoding.json.writing.plans import WritePlans
from gateway.transcoding.json.writing.scalars import text_of
from gateway.transcoding.text_forms import shown

Write = Callable[[bytes], bytes]
"""Converts wire bytes to JSON; raises `StatusError`: it has none, or has too many values."""


class NativeWriter:
    """Makes the writers of message types, as `JsonWriter` does, from its plans."""

    def __init__(
        self, module: ModuleType, plans: WritePlans, most_values: int, *, pretty: bool
    ) -> None:
        self._module = module
        self._most = most_values
        self._definition = plans
        self._pretty = pretty
        self._source = _PlanSource(plans)
        self._plans = module.Plans(self._source)

    def message(self, message: Descriptor) -> Write:
        """Makes the writer from wire bytes of a message to its JSON."""
        return self._writer(self._source.index(message), None)

    def field(self, field: FieldDescriptor) -> Write:
        """Makes the writer from wire bytes of a message to the JSON of one of its fields.

        A field that is not set has the JSON of its default: `{}` for a message, `[]` for a list.
        """
        plan, only = self._definition.only(field)
        unset = text_of(self._definition.unset_json(field))
        return self._writer(self._source.index(plan), (_member(only), unset))

    def _writer(self, plan: int, only: tuple[int, str] | None) -> Write:
        writer = self._module.Writer
        made = writer(self._plans, plan, self._most, pretty=self._pretty, only=only)
        return cast("Write", made.write)


class _PlanSource(Indexes[Descriptor | Plan]):
    """The definition, as the native module asks for it. It names message types by an index."""

    def __init__(self, plans: WritePlans) -> None:
        super().__init__()
        self._plans = plans

    def describe(self, index: int) -> tuple[object, ...]:
        """Describes the plan at an index.

        Returns the name, the form, the number of fields that are written if unset, the name and the
        JSON if unset of each member, the number of oneofs, and for each tag the member, the oneof
        and what `Field.described` returns.
        """
        kind = self.part(index)
        plan = kind if isinstance(kind, Plan) else self._plans.of(kind)
        fields = {tag: field for tag, field in enumerate(plan.few) if field is not None}
        fields |= plan.others
        tags = [
            (tag, _member(field), None if field.oneof < 0 else field.oneof, self._shape(field))
            for tag, field in fields.items()
        ]
        names = {_member(field): field.name for field in fields.values()}
        members = [
            (text_of(names[number].removeprefix(",")), text_of(plan.parts[2 * number + 2]))
            for number in range(len(plan.parts) // 2 - 1)
        ]
        return plan.name, plan.form, plan.unset_values, members, len(plan.chosen), tags

    def _shape(self, field: Field) -> tuple[object, ...]:
        """Describes how a field is read, with the indexes of message types."""
        parts = field.described()
        return tuple(self.index(part) if isinstance(part, Descriptor) else part for part in parts)

    def named(self, name: str) -> int | None:
        """Returns the index of the type with this full name if an Any may hold it, else None."""
        message = self._plans.find(name)
        return None if message is None else self.index(message)

    def spelled(self, path: str) -> str | None:
        """Spells a path of a FieldMask for JSON, or returns None if it has no spelling."""
        return spell_path(path)

    def shown(self, text: str) -> str:
        """Quotes `text` for an error message."""
        return shown(text)

    def refusal(self, name: str, reason: str | None) -> Exception:
        """Makes the error of a message that is malformed, or for a reason has no JSON form."""
        return refusal(name, reason)

    def too_many_values(self, most: int) -> Exception:
        """Makes the error of a message that has more than `most` values."""
        return too_many_values(most)


def _member(field: Field) -> int:
    """Returns the number of a field's member among those of the JSON object."""
    return field.slot // 2


def native_writer(
    plans: WritePlans, most_values: int = ANY_NUMBER, *, pretty: bool
) -> NativeWriter | None:
    """Makes the native writer by these plans; None if the definition is to run.

    Raises:
        StartUpError: the environment asks for a codec that is not there.
    """
    module = native_module()
    return None if module is None else NativeWriter(module, plans, most_values, pretty=pretty)
