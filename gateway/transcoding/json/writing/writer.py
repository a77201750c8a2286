"""Writes the wire bytes of messages as JSON text, without message objects.

The rules are those of protobuf.dev, "ProtoJSON Format". Time is linear in the message, and memory a
few times its size. Nearly every reply passes here.
"""

import re
import time
from collections.abc import Callable
from typing import Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.config.json import JsonOptions
from gateway.transcoding.field_masks import Find
from gateway.transcoding.json.writing.drafts import (
    ANY_NUMBER,
    Budget,
    Draft,
    Plan,
    UnprintableError,
    refusal,
)
from gateway.transcoding.json.writing.plans import WritePlans
from gateway.transcoding.selections import Selection
from gateway.transcoding.wire import MalformedError

Write = Callable[[bytes], bytes]
"""Converts wire bytes to JSON; raises `StatusError`: it has none, or has too many values."""

_TOKEN: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"|\{\}|\[\]|[{}\[\],:]|[^"{}\[\],:]++')
"""A string, an empty object or array, one character between values, or another value."""
_INDENT: Final = "  "
_JOINED: Final = 4096
"""The number of pieces that are joined at once, which limits the memory that they take."""


class JsonWriter:
    """Makes the writers of message types; `find` resolves the types that an Any may hold.

    `most_values` is the limit for the values of one message.
    """

    def __init__(self, find: Find, options: JsonOptions, most_values: int = ANY_NUMBER) -> None:
        self.most_values = most_values
        self.plans = WritePlans(find, options)
        self._pretty = options.pretty

    def message(self, message: Descriptor, selection: Selection | None = None) -> Write:
        """Makes the writer from wire bytes of a message to its JSON, or to that of some fields."""
        plans, most, pretty = self.plans, self.most_values, self._pretty
        plan = plans.of(message) if selection is None else plans.chosen(message, selection)

        def write(wire: bytes) -> bytes:
            try:
                text = _read(plan, wire, most).text()  # the draft and its texts are freed
            except UnprintableError as error:
                raise refusal(plan.name, str(error)) from None
            return indented(text) if pretty else text.encode("latin-1")

        return write

    def field(self, field: FieldDescriptor, selection: Selection | None = None) -> Write:
        """Makes the writer from wire bytes of a message to the JSON of one of its fields.

        A field that is not set has the JSON of its default: `{}` for a message, `[]` for a list.
        `selection` is the choice among the fields below it.
        """
        plan, only = self.plans.only(field, selection)
        unset, most, pretty = self.plans.unset_json(field), self.most_values, self._pretty

        def write(wire: bytes) -> bytes:
            try:
                text = _read(plan, wire, most).value(only) or unset
            except UnprintableError as error:
                raise refusal(plan.name, str(error)) from None
            return indented(text) if pretty else text.encode("latin-1")

        return write


def indented(text: str) -> bytes:
    """Indents JSON without spaces, as octets, for people, in one pass over it.

    Each token stays as it is spelled: parsers lose the sign of zero and, of doubles, digits.
    """
    parts: list[bytes] = []
    pieces: list[bytes] = []
    line = "\n"
    for found in _TOKEN.finditer(text):
        piece: str = found[0]
        match piece:
            case ",":
                piece += line
            case ":":
                piece = ": "
            case "{" | "[":
                line += _INDENT
                piece += line
            case "}" | "]":
                line = line[: -len(_INDENT)]
                piece = line + piece
            case _:
                pass
        pieces.append(piece.encode("latin-1"))
        if len(pieces) >= _JOINED:
            parts.append(b"".join(pieces))
            pieces = []
            time.sleep(0)  # other threads wait for the interpreter lock
    parts.append(b"".join(pieces))
    return b"".join(parts)


def _read(plan: Plan, wire: bytes, most: int) -> Draft:
    draft = plan.start(Budget(most))
    try:
        draft.read(wire, 0, len(wire), 0)
    except (MalformedError, UnicodeDecodeError):
        raise refusal(plan.name, None) from None
    return draft
