"""Reads JSON bodies to protobuf wire bytes: parses the text, then walks the tree by a plan.

A large body is read piece by piece, so that its tree never stands at once.

Both readers raise `StatusError` (INVALID_ARGUMENT) with the path of every invalid value, up to
`MAX_VIOLATIONS`.
"""

from typing import Final

from gateway.transcoding.json.large_text import WINDOW_BYTES, LargeText
from gateway.transcoding.json.reading.failures import Failures, member_step
from gateway.transcoding.json.reading.messages import Member, Plan
from gateway.transcoding.json.text import StatusError, check_depth, parse

_WINDOWS: Final = 4
"""The size, in windows, from which on a body is large."""


class _BodyReader:
    """Reads bodies; `depth` is the nesting limit of the text."""

    def __init__(self, depth: int, window_bytes: int) -> None:
        self._depth = depth
        self._window_bytes = window_bytes

    def read(self, body: bytes) -> bytes:
        """Returns the message."""
        if len(body) <= _WINDOWS * self._window_bytes:
            return self._written(parse(body, depth=self._depth))
        check_depth(body, self._depth)
        text = LargeText(body, self._window_bytes)
        if text.has_lone_surrogate():
            text.check()
        try:
            tree = text.root()
            wire = self._written(tree)
            text.finish(tree)
        except StatusError:
            text.check()  # a fault of the text comes first, wherever it is
            raise
        return wire

    def _written(self, tree: object) -> bytes:
        """Returns the message of a tree."""
        failures = Failures()
        out: list[bytes] = []
        self._write(tree, out, failures)
        if failures.count:
            raise failures.error()
        return b"".join(out)

    def _write(self, tree: object, out: list[bytes], failures: Failures) -> None:
        """Appends the message of a tree to `out`."""
        raise NotImplementedError


class MessageReader(_BodyReader):
    """Reads bodies that are a whole message; `depth` is the nesting limit of the text."""

    def __init__(self, plan: Plan, depth: int, window_bytes: int = WINDOW_BYTES) -> None:
        super().__init__(depth, window_bytes)
        self._plan = plan

    def _write(self, tree: object, out: list[bytes], failures: Failures) -> None:
        self._plan.write(tree, out, 0, failures)


class FieldReader(_BodyReader):
    """Reads bodies that are the value of one field; null unsets it.

    The message that it returns has only that field set.
    """

    def __init__(self, member: Member, depth: int, window_bytes: int = WINDOW_BYTES) -> None:
        super().__init__(depth, window_bytes)
        self._member = member

    def _write(self, tree: object, out: list[bytes], failures: Failures) -> None:
        if tree is not None or self._member.takes_null:
            self._member.value.write(tree, out, 0, failures)
        if failures.count:
            failures.prefix(0, member_step(self._member.name))
