"""Writes the wire bytes of messages as JSON text, without message objects.

The rules are those of protobuf.dev, "ProtoJSON Format". Time is linear in the message, and memory a
few times its size. Nearly every reply passes here.
"""

import json
from collections.abc import Callable

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.config.json import JsonOptions
from gateway.status import UnreadableReplyError
from gateway.transcoding.field_masks import Find
from gateway.transcoding.json.writing.drafts import Draft, Plan, UnprintableError
from gateway.transcoding.json.writing.plans import WritePlans
from gateway.transcoding.wire import MalformedError

Write = Callable[[bytes], bytes]
"""Converts wire bytes to JSON; raises `UnreadableReplyError`."""


class JsonWriter:
    """Makes the writers of message types; `find` resolves the types that an Any may hold."""

    def __init__(self, find: Find, options: JsonOptions) -> None:
        self._plans = WritePlans(find, options)
        self._pretty = options.pretty

    def message(self, message: Descriptor) -> Write:
        """Makes the writer from wire bytes of a message to its JSON."""
        plan, pretty = self._plans.of(message), self._pretty

        def write(wire: bytes) -> bytes:
            try:
                draft = _read(plan, wire)
                text = draft.text()
            except UnprintableError as error:
                raise _unprintable(plan, error) from None
            return (indented(text) if pretty else text).encode()

        return write

    def field(self, field: FieldDescriptor) -> Write:
        """Makes the writer from wire bytes of a message to the JSON of one of its fields.

        A field that is not set has the JSON of its default: `{}` for a message, `[]` for a list.
        """
        plan, only = self._plans.only(field)
        unset, pretty = self._plans.unset_json(field), self._pretty

        def write(wire: bytes) -> bytes:
            try:
                text = _read(plan, wire).value(only) or unset
            except UnprintableError as error:
                raise _unprintable(plan, error) from None
            return (indented(text) if pretty else text).encode()

        return write


def indented(text: str) -> str:
    """Indents a JSON text, for people."""
    return json.dumps(json.loads(text), indent=2, ensure_ascii=False)


def _read(plan: Plan, wire: bytes) -> Draft:
    draft = plan.start()
    try:
        draft.read(wire, 0, len(wire), 0)
    except (MalformedError, UnicodeDecodeError):
        raise UnreadableReplyError(f"the back end's {plan.name} is malformed") from None
    return draft


def _unprintable(plan: Plan, error: UnprintableError) -> UnreadableReplyError:
    return UnreadableReplyError(f"{plan.name} cannot be shown as JSON: {error}")
