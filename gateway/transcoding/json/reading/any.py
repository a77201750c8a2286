"""The reader of a google.protobuf.Any, whose JSON is that of the message in it, with its type."""

from collections.abc import Callable, Iterable
from typing import Final

from gateway.transcoding.json.large_text import LargeObject
from gateway.transcoding.json.reading.base import Plan
from gateway.transcoding.json.reading.failures import Failures, member_step
from gateway.transcoding.json.reading.messages import MessagePlan, too_deep
from gateway.transcoding.wire import LENGTH, MAX_DEPTH, tag, varint

_TYPE_URL: Final = tag(1, LENGTH)
_VALUE: Final = tag(2, LENGTH)
_TYPE: Final = "@type"
_CONTENT: Final = "value"

Find = Callable[[str], Plan | None]
"""Finds the plan of a message type by its full name; None if an Any may not hold it."""


class AnyPlan(Plan):
    """The reader of an object with the member `@type`, anywhere in it.

    A type whose JSON is not an object of its fields stands in a second member, `value`; others are
    refused unless `ignores` says that a member of that name is to be ignored.
    """

    def __init__(self, find: Find, ignores: Callable[[str], bool]) -> None:
        self.find = find
        self._ignores = ignores

    def write(self, tree: object, out: list[bytes], depth: int, failures: Failures) -> int:
        """Appends the type's URL and the wire bytes of the message."""
        pairs: Iterable[tuple[str, object]]
        if isinstance(tree, LargeObject):
            pairs = tree.if_large()  # its type may come last
        elif type(tree) is tuple:
            pairs = tree
            failures.passed(len(tree))
        else:
            return failures.expected("an object with @type", tree)
        if pairs == ():
            return 0
        if depth > MAX_DEPTH:
            raise too_deep()
        url = _only(_TYPE, pairs, failures)
        kind = url.rpartition("/")[2] if type(url) is str and "/" in url else ""
        plan = self.find(kind) if kind else None
        if plan is None or type(url) is not str:
            _add(failures, _TYPE, "expected the URL of a known type, such as host/package.Type")
            return 0
        name = url.encode()
        prefix = varint(len(name))
        out += (_TYPE_URL, prefix, name)
        size = 1 + len(prefix) + len(name)
        at = len(out)
        out += (_VALUE, b"")
        if isinstance(plan, MessagePlan):
            written = plan.write_members(_without_type(pairs), out, depth + 1, failures)
        else:
            written = self._write_content(plan, pairs, out, depth, failures)
            if written < 0:
                _add(failures, _CONTENT, f"expected the value of the {kind}")
                return 0
        if not written:
            del out[at:]
            return size
        out[at + 1] = varint(written)
        return size + 1 + len(out[at + 1]) + written

    def _write_content(
        self,
        plan: Plan,
        pairs: Iterable[tuple[str, object]],
        out: list[bytes],
        depth: int,
        failures: Failures,
    ) -> int:
        """Appends the member `value` of a type with its own JSON form; -1 if there is none."""
        has_content = False
        for key, _ in pairs:
            if key == _CONTENT:
                has_content = True
            elif key != _TYPE and not self._ignores(key):
                _add(failures, key, "no such field")
        if not has_content:
            return -1
        content = _only(_CONTENT, pairs, failures)
        failed = failures.count
        written = plan.write(content, out, depth + 1, failures)
        failures.prefix(failed, member_step(_CONTENT))
        return written


def _without_type(pairs: Iterable[tuple[str, object]]) -> Iterable[tuple[str, object]]:
    """Returns the members of the message in an Any."""
    if isinstance(pairs, LargeObject):
        return pairs.without(_TYPE)
    return tuple([pair for pair in pairs if pair[0] != _TYPE])


def _only(name: str, pairs: Iterable[tuple[str, object]], failures: Failures) -> object:
    """Returns the value of a member, or None; adds a failure if the member is there twice."""
    values = [item for key, item in pairs if key == name]
    if len(values) > 1:
        _add(failures, name, "set twice")
    return values[0] if values else None


def _add(failures: Failures, name: str, description: str) -> None:
    """Adds a failure at a member of the Any."""
    failed = failures.count
    failures.add(description)
    failures.prefix(failed, member_step(name))
