"""Reads JSON bodies to protobuf wire bytes: parses the text, then walks the tree by a plan.

Both readers raise `StatusError` (INVALID_ARGUMENT) with the path of every invalid value, up to
`MAX_VIOLATIONS`.
"""

from gateway.transcoding.json.reading.base import Plan
from gateway.transcoding.json.reading.failures import Failures, member_step
from gateway.transcoding.json.reading.messages import Member
from gateway.transcoding.json.text import parse


class MessageReader:
    """Reads bodies that are a whole message; `depth` is the nesting limit of the text."""

    def __init__(self, plan: Plan, depth: int) -> None:
        self._plan = plan
        self._depth = depth

    def read(self, body: bytes) -> bytes:
        """Returns the message."""
        failures = Failures()
        out: list[bytes] = []
        self._plan.write(parse(body, depth=self._depth), out, 0, failures)
        if failures.count:
            raise failures.error()
        return b"".join(out)


class FieldReader:
    """Reads bodies that are the value of one field; null unsets it."""

    def __init__(self, member: Member, depth: int) -> None:
        self._member = member
        self._depth = depth

    def read(self, body: bytes) -> bytes:
        """Returns a message with only that field set."""
        failures = Failures()
        out: list[bytes] = []
        tree = parse(body, depth=self._depth)
        if tree is not None or self._member.takes_null:
            self._member.value.write(tree, out, 0, failures)
        if failures.count:
            failures.prefix(0, member_step(self._member.name))
            raise failures.error()
        return b"".join(out)
