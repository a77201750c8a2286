"""Reads the wire bytes of messages as JSON text, by one plan for each message type.

A draft is the JSON of one message while its bytes are read. It holds a text for each member of the
JSON object. A later value of a field replaces the earlier one, and a message that comes in several
pieces is read into one draft, so that pieces merge without being copied (protobuf.dev, "Encoding",
"Last One Wins"). Each byte is read once, whatever the nesting.
"""

import time
from typing import Final

from gateway.status import Code, StatusError, UnreadableReplyError
from gateway.transcoding.json.hashes import Hashes, short_hash
from gateway.transcoding.wire import END_GROUP, MAX_DEPTH, MalformedError, read_tag, skip

_JOINED: Final = 1024
"""The number of texts that are joined at once: each small text takes fifty bytes more."""
_MANY: Final = 512
"""The number of entries that are kept by their keys, and of others that are joined at once."""
_GROUPED: Final = 32
"""The number of joined texts that are joined once more."""
_BETWEEN: Final = "\x00"
_COLON: Final = "\x01"
"""Characters that no JSON text has, for a comma and a colon until all entries are known."""
FEW_TAGS: Final = 128
"""Tags below this, of field numbers up to 15, are one byte, and found in a list."""
ANY_NUMBER: Final = 1 << 60
"""The number of values of a message whose values have no limit."""


class UnprintableError(Exception):
    """A message has no JSON form; the text of the error is the reason, for people."""


def refusal(name: str, reason: str | None) -> UnreadableReplyError:
    """Makes the error of a message of this type: no reason means that it is malformed."""
    if reason is None:
        return UnreadableReplyError(f"the back end's {name} is malformed")
    return UnreadableReplyError(f"{name} cannot be shown as JSON: {reason}")


def too_many_values(most: int) -> StatusError:
    """Makes the error of a message that has more than `most` values."""
    return StatusError(
        Code.RESOURCE_EXHAUSTED,
        f"the reply has more than {most} values: ask for less, such as a page",
        http_status=500,
    )


class Budget:
    """The number of values that a message may still have; the parts of it share one budget.

    A few bytes on the wire can become much JSON: a message without fields takes two bytes, and all
    its unset fields may be written. So each value counts before it is read, and the unset fields of
    a message before there is a draft of it: what is beyond the limit takes neither time nor memory.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._left = most

    def spend(self, count: int) -> None:
        """Counts some values.

        Raises:
            StatusError: RESOURCE_EXHAUSTED, with HTTP status 500, if they are too many.
        """
        self._left -= count
        if self._left < 0:
            raise too_many_values(self._most)


class Part:
    """The JSON of a part of a message while its wire bytes are read."""

    def text(self) -> str:
        """Ends the part and returns its JSON; empty if the part is not to be written.

        Raises:
            UnprintableError: the part has no JSON form.
        """
        raise NotImplementedError


class Items(Part):
    """The items of a repeated field."""

    def __init__(self) -> None:
        self._items: list[str] = []
        self._joined: list[str] | None = None

    def add(self, text: str) -> None:
        """Adds the JSON of one item."""
        items = self._items
        items.append(text)
        if len(items) >= _JOINED:
            if self._joined is None:
                self._joined = []
            self._joined.append(",".join(items))
            self._items = []
            # Machine code keeps the interpreter lock until it gives it away: other threads wait.
            time.sleep(0)

    def text(self) -> str:
        """Returns the array; empty if it has no items."""
        text = self.joined()
        return f"[{text}]" if text else ""

    def joined(self) -> str:
        """Returns all items with commas between them, and forgets them."""
        items, joined = self._items, self._joined
        self._items, self._joined = [], None
        if joined is None:
            return ",".join(items)
        if items:
            joined.append(",".join(items))
        return ",".join(joined)


class Entries(Part):
    """The entries of a map.

    The first ones are kept by their keys, which takes two hundred bytes each. The texts of others
    are joined, with a hash of each key: where two are alike, the keys are compared in the end.
    """

    def __init__(self) -> None:
        self._first: dict[str, str] = {}
        self._others: list[str] = []
        self._joined: list[str] = []
        self._groups = 0
        """The number of joined texts, at the start, that were joined once more."""
        self._hashes: Hashes | None = None

    def put(self, key: str, value: str) -> None:
        """Sets the value of a key, which is a JSON string; the last one counts."""
        first = self._first
        if len(first) < _MANY or key in first:
            first[key] = f"{key}:{value}"
            return
        if self._hashes is None:
            self._hashes = Hashes()
        self._hashes.add(key)
        others = self._others
        others.append(f"{key}{_COLON}{value}")
        if len(others) >= _MANY:
            self._join()

    def _join(self) -> None:
        joined = self._joined
        joined.append(_BETWEEN.join(self._others))
        self._others = []
        if len(joined) >= self._groups + _GROUPED:
            # An allocator gives a large block back when it is freed, and keeps small ones.
            joined[self._groups :] = [_BETWEEN.join(joined[self._groups :])]
            self._groups += 1
        time.sleep(0)  # other threads wait for the interpreter lock

    def text(self) -> str:
        """Returns the object; empty if it has no members."""
        if not self._first:
            return ""
        first = ",".join(list(self._first.values()))
        self._first = {}
        if self._hashes is None:
            return f"{{{first}}}"
        self._join()
        repeated = self._hashes.repeated()
        self._hashes = None
        joined = self._joined
        self._joined = []
        if repeated:
            _keep_last(joined, repeated)
        for index, text in enumerate(joined):
            joined[index] = text.replace(_BETWEEN, ",").replace(_COLON, ":")
        texts = ["{" + first, *[text for text in joined if text]]
        texts[-1] += "}"
        joined.clear()
        return ",".join(texts)


def _keep_last(joined: list[str], repeated: set[int]) -> None:
    """Leaves one entry of each key, with the last value in the place of the first.

    Only keys with a hash in `repeated` can be there twice.
    """
    last: dict[str, str] = {}
    for text in joined:
        for entry in text.split(_BETWEEN):
            key = entry.partition(_COLON)[0]
            if short_hash(key) in repeated:
                last[key] = entry
    for index, text in enumerate(joined):
        entries: list[str] = []
        for entry in text.split(_BETWEEN):
            key = entry.partition(_COLON)[0]
            if short_hash(key) not in repeated:
                entries.append(entry)
            elif key in last:
                entries.append(last.pop(key))
        joined[index] = _BETWEEN.join(entries)


class Field:
    """One field of a message type: reads its values into the draft of a message."""

    def __init__(self) -> None:
        self.name = ""
        """The member's name in JSON with its colon, and a comma before it unless it is first."""
        self.slot = 0
        """The index of the name in `Draft.parts`; the value follows it."""
        self.held = -1
        """The index of the field's part in `Draft.held`; -1 if its values are texts."""
        self.oneof = -1
        """The index of the field's oneof in `Draft.chosen`; -1 if it has none."""

    def take(self, draft: "Draft", wire: bytes, at: int, end: int, depth: int) -> int:
        """Reads the value after the field's tag into `draft`; returns its end.

        `depth` is the number of messages around the draft.

        Raises:
            MalformedError: the value is not complete, or not of the type.
            UnprintableError: it has no JSON form.
            UnicodeDecodeError: a string is not UTF-8.
            StatusError: the message has too many values.
        """
        raise NotImplementedError

    def described(self) -> tuple[object, ...]:
        """Describes, by a name and what belongs to it, how `take` reads; for the native codec."""
        raise NotImplementedError


class Plan:
    """The plan to read one type of messages: its fields by tag, and the JSON of no field set."""

    def __init__(self, name: str, *, form: str = "object") -> None:
        self.name = name
        """The full name of the message type."""
        self.form = form
        """The name of the kind of JSON: `object` for an object of the fields."""
        self.has_own_form = form != "object"
        """True if its JSON is not an object of its fields, as that of a Timestamp."""
        self.few: list[Field | None] = [None] * FEW_TAGS
        """The field of each tag below `FEW_TAGS`."""
        self.others: dict[int, Field] = {}
        """The fields of the other tags."""
        self.parts: list[str] = ["{", "}"]
        """The JSON of an empty message: a brace, the name and the value of each field, a brace."""
        self.holders: list[Field] = []
        """The fields whose values are parts."""
        self.held: list[Part | None] = []
        self.chosen: list[Field | None] = []
        self.is_first_set = False
        """True if the first field is always written, so that its name needs no comma."""
        self.unset_values = 0
        """The number of fields that are written even if they are not set."""

    def add(self, tag: int, field: Field) -> None:
        """Sets the field that a tag begins."""
        if tag < FEW_TAGS:
            self.few[tag] = field
        else:
            self.others[tag] = field

    def start(self, budget: Budget) -> "Draft":
        """Makes the draft of a message.

        Raises:
            StatusError: with its unset fields, there are too many values.
        """
        return Draft(self, budget)


class PlanSource:
    """Returns plans by message type; makes each when it is first needed."""

    def of(self, message: object) -> Plan:
        """Returns the plan of a message type, which is a descriptor."""
        raise NotImplementedError

    def named(self, name: str) -> Plan | None:
        """Returns the plan of the type with this full name if an Any may hold it, else None."""
        raise NotImplementedError


class Draft(Part):
    """The JSON of one message while its wire bytes are read."""

    def __init__(self, plan: Plan, budget: Budget) -> None:
        if plan.unset_values:
            budget.spend(plan.unset_values)
        self.plan = plan
        self.budget = budget
        self.parts = plan.parts.copy()
        """As those of the plan, with the texts of the fields that are set."""
        # Only types that need these lists have any; the others share the plan's empty one.
        self.held = plan.held.copy() if plan.held else plan.held
        """The parts of fields that are messages, lists or maps."""
        self.chosen = plan.chosen.copy() if plan.chosen else plan.chosen
        """The member of each oneof that is set."""

    def read(self, wire: bytes, at: int, end: int, depth: int, closing: int = 0) -> int:
        """Reads the bytes from `at` to `end`, or of a group up to the tag `closing`.

        Returns the position after them. A message can be read in several pieces.

        Raises:
            MalformedError, UnprintableError, UnicodeDecodeError, StatusError: as `Field.take` does.
        """
        if depth > MAX_DEPTH:
            raise UnprintableError(f"it is nested deeper than {MAX_DEPTH} levels")
        plan = self.plan
        few = plan.few
        budget = self.budget
        while at < end:
            budget.spend(1)  # unknown fields count, too: they take time
            tag = wire[at]
            if tag < FEW_TAGS:
                at += 1
                field = few[tag]
            else:
                tag, at = read_tag(wire, at, end)
                field = plan.others.get(tag)
            if field is not None:
                at = field.take(self, wire, at, end, depth)
            elif tag & 7 == END_GROUP and closing:
                if tag != closing:
                    raise MalformedError
                return at
            elif tag < 8:
                raise MalformedError
            else:
                at = skip(wire, at, end, tag)
        if closing:
            raise MalformedError
        return at

    def choose(self, field: Field) -> None:
        """Makes `field` the member of its oneof, and takes back the one that was set before."""
        before = self.chosen[field.oneof]
        if before is field:
            return
        if before is not None:
            self.clear(before)
        self.chosen[field.oneof] = field

    def clear(self, field: Field) -> None:
        """Unsets a field that is not always written."""
        self.parts[field.slot] = self.parts[field.slot + 1] = ""
        if field.held >= 0:
            self.held[field.held] = None

    def finish(self) -> None:
        """Writes the fields that are messages, lists and maps."""
        held = self.held
        parts = self.parts
        for index in range(len(held)):
            part = held[index]
            if part is not None:
                held[index] = None
                text = part.text()
                if text:
                    field = self.plan.holders[index]
                    parts[field.slot] = field.name
                    parts[field.slot + 1] = text

    def value(self, field: Field) -> str:
        """Returns the JSON of one field; empty if it is not set and not written then."""
        self.finish()
        return self.parts[field.slot + 1]

    def text(self) -> str:
        """Returns the object."""
        self.finish()
        parts = self.parts
        if not self.plan.is_first_set:
            for index in range(1, len(parts) - 1, 2):
                name = parts[index]
                if name:
                    parts[index] = name[1:]  # no comma before the first member
                    break
        return "".join(parts)

    def text_after(self, opening: str) -> str:
        """Returns the object with `opening`, a brace and a member, before its own members."""
        self.finish()
        parts = self.parts
        parts[0] = f"{opening}," if self.plan.is_first_set else opening
        return "".join(parts)
