"""Partial responses: the members of a reply that a client chooses (AIP-157).

The syntax is that of Google's system parameter `$fields` and of field masks: paths with commas
between them, steps with `/` or `.`, and `(…)` for several members below one: `name,author/id` or
`books(name,author(id))`. `*` as the last step is all members. A path goes through lists, to each
element.
"""

import re
from typing import Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.status import StatusError, invalid_argument
from gateway.transcoding.text_values import has_members

_MAX_CHARACTERS: Final = 2048
_MAX_DEPTH: Final = 32
_SHOWN: Final = 80
_STEP: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*+|\*")
_ALL: Final = "*"


class Selection:
    """The chosen fields of a message type."""

    __slots__ = ("fields", "is_whole")

    def __init__(self) -> None:
        self.fields: dict[int, Selection] = {}
        """By field number, what is chosen below the field."""
        self.is_whole = False
        """True if everything is chosen."""


def read_selection(text: str, message: Descriptor | None, name: str) -> Selection:
    """Parses a choice among the fields of `message`; errors name `name`, the parameter.

    `message` is None for a value without members, of which only `*` can be chosen.

    Raises:
        StatusError: INVALID_ARGUMENT for another syntax, a path without a field, or a choice that
            is too long or too deep.
    """
    if len(text) > _MAX_CHARACTERS:
        raise invalid_argument(name, f"is longer than {_MAX_CHARACTERS} characters")
    return _Reader(text, name).read(message)


class _Reader:
    """Reads one text from left to right."""

    def __init__(self, text: str, name: str) -> None:
        self._text = text
        self._name = name
        self._at = 0

    def read(self, message: Descriptor | None) -> Selection:
        """Returns the choice."""
        found = Selection()
        self._members(found, message, 0)
        if self._at < len(self._text):
            raise self._malformed()
        return found

    def _members(self, into: Selection, message: Descriptor | None, depth: int) -> None:
        """Reads paths with commas between them."""
        self._path(into, message, depth)
        while self._take(","):
            self._path(into, message, depth)

    def _path(self, into: Selection, message: Descriptor | None, depth: int) -> None:
        while True:
            depth += 1
            if depth > _MAX_DEPTH:
                raise invalid_argument(self._name, f"is deeper than {_MAX_DEPTH} levels")
            step = self._step()
            if step == _ALL:
                into.is_whole = True
                return
            field = self._field(step, message)
            into, message = into.fields.setdefault(field.number, Selection()), members_of(field)
            if self._take("("):
                self._members(into, message, depth)
                if not self._take(")"):
                    raise self._malformed()
                return
            if not (self._take("/") or self._take(".")):
                into.is_whole = True
                return

    def _step(self) -> str:
        found = _STEP.match(self._text, self._at)
        if found is None:
            raise self._malformed()
        self._at = found.end()
        return found[0]

    def _take(self, sign: str) -> bool:
        """Skips this sign if it is next."""
        is_next = self._text.startswith(sign, self._at)
        self._at += is_next
        return is_next

    def _field(self, step: str, message: Descriptor | None) -> FieldDescriptor:
        before = self._read_so_far()
        if message is None:
            raise invalid_argument(self._name, f"{before} is in a value without members")
        field = message.fields_by_name.get(step) or message.fields_by_camelcase_name.get(step)
        if field is None:
            field = next((one for one in message.fields if one.json_name == step), None)
        if field is None:
            raise invalid_argument(self._name, f"{before} ends in a name that the reply lacks")
        return field

    def _read_so_far(self) -> str:
        """The end of what was read; it has only letters and signs that are safe in messages."""
        start = max(0, self._at - _SHOWN)
        return f'"{self._text[start : self._at]}"'

    def _malformed(self) -> StatusError:
        expected = "expected names of fields, such as name,author/id or books(name,author(id))"
        after = self._read_so_far()
        return invalid_argument(self._name, f"{expected}; it is malformed after {after}")


def members_of(field: FieldDescriptor) -> Descriptor | None:
    """Returns the message type whose fields can be chosen below a field, or None."""
    message = field.message_type
    if message is None or message.GetOptions().map_entry or not has_members(message):
        return None
    return message
