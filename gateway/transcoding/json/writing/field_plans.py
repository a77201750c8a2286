"""The kinds of fields: singular, repeated, packed and map fields, messages and groups."""

from gateway.transcoding.json.writing.drafts import (
    Budget,
    Draft,
    Entries,
    Field,
    Items,
    Plan,
    PlanSource,
)
from gateway.transcoding.json.writing.scalars import Scalar
from gateway.transcoding.wire import LENGTH, read_size, read_tag, skip


class ScalarField(Field):
    """A singular field that is not a message."""

    def __init__(self, scalar: Scalar, *, always: bool, implicit: bool) -> None:
        super().__init__()
        self._scalar = scalar
        self._always = always
        """True if the field is written even if it is not set."""
        self._implicit = implicit
        """True if the field has no presence, so that its zero value means that it is not set."""

    def take(self, draft: Draft, wire: bytes, at: int, end: int, depth: int) -> int:  # noqa: ARG002 - as in Field
        """Reads a value, which replaces the one before."""
        scalar = self._scalar
        text, at = scalar.read(wire, at, end)
        slot = self.slot
        if self._always:
            if text:
                draft.parts[slot + 1] = text
        elif self._implicit and text == scalar.default:
            draft.clear(self)
        elif text:
            if self.oneof >= 0:
                draft.choose(self)
            draft.parts[slot] = self.name
            draft.parts[slot + 1] = text
        return at

    def described(self) -> tuple[object, ...]:
        """Describes the scalar, and when it is written."""
        return "scalar", self._scalar.described(), self._always, self._implicit


class RepeatedField(Field):
    """A list of values, each with a tag."""

    def __init__(self, scalar: Scalar) -> None:
        super().__init__()
        self._scalar = scalar

    def take(self, draft: Draft, wire: bytes, at: int, end: int, depth: int) -> int:  # noqa: ARG002 - as in Field
        """Reads one more item."""
        text, at = self._scalar.read(wire, at, end)
        if text:
            items_of(draft, self).add(text)
        return at

    def described(self) -> tuple[object, ...]:
        """Describes the items."""
        return "list", self._scalar.described()


class PackedField(RepeatedField):
    """A list of values in one length-delimited value; parsers accept both forms of a list."""

    def take(self, draft: Draft, wire: bytes, at: int, end: int, depth: int) -> int:  # noqa: ARG002 - as in Field
        """Reads more items."""
        at, stop = read_size(wire, at, end)
        items = items_of(draft, self)
        scalar = self._scalar
        budget = draft.budget
        while at < stop:
            budget.spend(1)
            text, at = scalar.read(wire, at, stop)
            if text:
                items.add(text)
        return stop

    def described(self) -> tuple[object, ...]:
        """Describes the items."""
        return "packed", self._scalar.described()


class _MessageField(Field):
    """A field of messages; their plan is made when the first one is read."""

    def __init__(self, source: PlanSource, message: object, closing: int) -> None:
        """`closing` is the tag that ends a group; 0 for a length-delimited message."""
        super().__init__()
        self._source = source
        self.message = message
        self._plan: Plan | None = None
        self.closing = closing

    def start(self, budget: Budget) -> Draft:
        """Makes the draft of a message in this field."""
        plan = self._plan
        if plan is None:
            plan = self._plan = self._source.of(self.message)
        return plan.start(budget)

    def read_into(self, inner: Draft, wire: bytes, at: int, end: int, depth: int) -> int:
        """Reads a message in this field; returns its end."""
        if self.closing:
            return inner.read(wire, at, end, depth + 1, self.closing)
        at, stop = read_size(wire, at, end)
        return inner.read(wire, at, stop, depth + 1)


class MessageField(_MessageField):
    """A singular message or group."""

    def take(self, draft: Draft, wire: bytes, at: int, end: int, depth: int) -> int:
        """Reads a message, or one more piece of it."""
        if self.oneof >= 0:
            draft.choose(self)
        inner = draft.held[self.held]
        if inner is None:
            inner = draft.held[self.held] = self.start(draft.budget)
        assert isinstance(inner, Draft)  # noqa: S101 # only this field sets it
        return self.read_into(inner, wire, at, end, depth)

    def described(self) -> tuple[object, ...]:
        """Describes the message by its type, and the tag that ends a group."""
        return "message", self.message, self.closing


class RepeatedMessageField(_MessageField):
    """A list of messages or groups."""

    def take(self, draft: Draft, wire: bytes, at: int, end: int, depth: int) -> int:
        """Reads one more message."""
        inner = self.start(draft.budget)
        at = self.read_into(inner, wire, at, end, depth)
        items_of(draft, self).add(inner.text())
        return at

    def described(self) -> tuple[object, ...]:
        """Describes the messages by their type, and the tag that ends a group."""
        return "messages", self.message, self.closing


class MapField(_MessageField):
    """A map. Its entries are messages with a key and a value."""

    def __init__(self, key: Scalar, value: Scalar | None, source: PlanSource, kind: object) -> None:
        """`value` is None if the values are messages, of the type `kind`."""
        super().__init__(source, kind, 0)
        self._key = key
        self._key_tag = 8 | key.wire_type
        self._value = value
        self._value_tag = 16 | (LENGTH if value is None else value.wire_type)

    def take(self, draft: Draft, wire: bytes, at: int, end: int, depth: int) -> int:
        """Reads one entry. A key or value that is missing has its default."""
        at, stop = read_size(wire, at, end)
        scalar = self._value
        key = self._key.default
        value = "" if scalar is None else scalar.default
        inner: Draft | None = None
        budget = draft.budget
        while at < stop:
            budget.spend(1)
            tag, at = read_tag(wire, at, stop)
            if tag == self._key_tag:
                key, at = self._key.read(wire, at, stop)
            elif tag != self._value_tag:
                at = skip(wire, at, stop, tag)
            elif scalar is not None:
                value, at = scalar.read(wire, at, stop)
            else:
                inner = self.start(budget) if inner is None else inner
                at = self.read_into(inner, wire, at, stop, depth + 1)
        if scalar is None:
            value = (self.start(budget) if inner is None else inner).text()
        if value:  # else it is unknown to a closed enum: the entry counts as absent
            entries_of(draft, self).put(key if key[0] == '"' else f'"{key}"', value)
        return stop

    def described(self) -> tuple[object, ...]:
        """Describes the key, and the value or its message type."""
        value = self._value
        if value is None:
            return "map", self._key.described(), None, self.message
        return "map", self._key.described(), value.described(), None


def items_of(draft: Draft, field: Field) -> Items:
    """Returns the items of a repeated field."""
    part = draft.held[field.held]
    if part is None:
        part = draft.held[field.held] = Items()
    assert isinstance(part, Items)  # noqa: S101 # repeated fields set nothing else
    return part


def entries_of(draft: Draft, field: Field) -> Entries:
    """Returns the entries of a map field."""
    part = draft.held[field.held]
    if part is None:
        part = draft.held[field.held] = Entries()
    assert isinstance(part, Entries)  # noqa: S101 # map fields set nothing else
    return part
