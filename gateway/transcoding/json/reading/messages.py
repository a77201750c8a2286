"""The readers of messages, lists and maps: what a plan consists of.

A plan is made for each message type when it is first used. Plans refer to each other as the types
do, so that their number is that of the types.
"""

import time
from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import Final

from gateway.transcoding.json.large_text import LargeArray, LargeObject
from gateway.transcoding.json.reading.failures import Failures, key_step, member_step
from gateway.transcoding.json.reading.keys import Keys
from gateway.transcoding.wire import MAX_DEPTH, StatusError, invalid_argument, short_heads, varint

Pairs = Iterable[tuple[str | bytes, object]]
"""The members of an object: a name that is long and not ASCII is bytes."""


class Value:
    """The reader of one value in a field; also of a whole list or map in it."""

    def write(self, tree: object, out: list[bytes], depth: int, failures: Failures) -> int:
        """Appends the field's wire bytes to `out`; returns their size in bytes.

        `depth` is the number of messages around the value.
        """
        raise NotImplementedError


class Plan:
    """The reader of a whole message, without the tag and length that a field gives it."""

    def write(self, tree: object, out: list[bytes], depth: int, failures: Failures) -> int:
        """Appends the message's wire bytes to `out`; returns their size in bytes.

        `depth` is the number of messages around this one.

        Raises:
            StatusError: INVALID_ARGUMENT if messages are nested deeper than protobuf allows.
        """
        raise NotImplementedError


MANY: Final = 4096
"""The number of pieces that are joined to one, to limit the memory of many small values."""


class Member:
    """A field as a member of a JSON object.

    `bit` is the field's own bit in a set of members, `oneof` that of its oneof, or 0.
    """

    def __init__(self, name: str, value: Value, bit: int, oneof: int, *, takes_null: bool) -> None:
        self.name = name
        self.value = value
        self.bit = bit
        self.oneof = oneof
        self.takes_null = takes_null


class MessagePlan(Plan):
    """The reader of an object with a message's fields; `find_members` makes them on first use.

    Members without a field are refused, except those in `ignored`; None ignores all.
    """

    def __init__(
        self, find_members: Callable[[], dict[str, Member]], ignored: Collection[str] | None
    ) -> None:
        self._find_members = find_members
        self.ignored = ignored
        self._members: dict[str, Member] | None = None

    def members(self) -> dict[str, Member]:
        """Returns the members by each of their names."""
        if self._members is None:
            self._members = self._find_members()
        return self._members

    def write(self, tree: object, out: list[bytes], depth: int, failures: Failures) -> int:
        """Appends the members of an object."""
        if type(tree) is tuple:
            failures.passed(len(tree))
            return self.write_members(tree, out, depth, failures)
        if isinstance(tree, LargeObject):
            return self.write_members(tree, out, depth, failures)
        return failures.expected("an object", tree)

    def write_members(self, pairs: Pairs, out: list[bytes], depth: int, failures: Failures) -> int:
        """Appends these members; each may be there once, and one of each oneof."""
        if depth > MAX_DEPTH:
            raise too_deep()
        members = self._members
        if members is None:
            members = self._members = self._find_members()
        size = seen = chosen = 0
        failed = failures.count
        for key, item in pairs:
            # A long name that is not ASCII is bytes, and no field's.
            member = members.get(key) if isinstance(key, str) else None
            if member is None:
                if self.ignored is not None and key not in self.ignored:
                    failures.add("no such field")
            elif seen & member.bit:
                failures.add("set twice")
            else:
                seen |= member.bit
                if item is not None or member.takes_null:
                    written = member.value.write(item, out, depth, failures)
                    size += written
                    if written and member.oneof:
                        if chosen & member.oneof:
                            self._refuse_choice(member, pairs, failures)
                        chosen |= member.oneof
            if failures.count != failed:
                failures.prefix(failed, member_step(key if member is None else member.name))
                failed = failures.count
                if failures.is_full:
                    return 0
        return size

    def _refuse_choice(self, member: Member, pairs: Pairs, failures: Failures) -> None:
        """Adds a failure that names the member of the oneof that came first."""
        members = self._members or {}
        for key, item in pairs:
            other = members.get(key) if isinstance(key, str) else None
            if other is None or other.oneof != member.oneof:
                continue
            if item is not None or other.takes_null:
                failures.add(f"cannot be set together with {other.name}")
                return


def too_deep() -> StatusError:
    """Makes the error for a body whose messages are nested deeper than protobuf allows."""
    return invalid_argument(
        "", f"the body is nested too deep: its messages have more than {MAX_DEPTH} levels"
    )


class SizedValue(Value):
    """The base of values after a tag and their size; `short` has the tag with each small size."""

    def __init__(self, head: bytes) -> None:
        self.head = head
        self.short = short_heads(head)


class MessageValue(SizedValue):
    """A message in a field, after its tag and its length."""

    def __init__(self, head: bytes, plan: Plan) -> None:
        super().__init__(head)
        self.plan = plan

    def write(self, tree: object, out: list[bytes], depth: int, failures: Failures) -> int:
        """Appends a message."""
        at = len(out)
        out.append(b"")
        size = self.plan.write(tree, out, depth + 1, failures)
        head = out[at] = with_size(self.head, self.short, size)
        return len(head) + size


class GroupValue(Value):
    """A message in a field between two tags (protobuf encoding guide, "Groups")."""

    def __init__(self, head: bytes, end: bytes, plan: Plan) -> None:
        self.head = head
        self.end = end
        self.plan = plan

    def write(self, tree: object, out: list[bytes], depth: int, failures: Failures) -> int:
        """Appends a group."""
        out.append(self.head)
        size = self.plan.write(tree, out, depth + 1, failures)
        out.append(self.end)
        return len(self.head) + size + len(self.end)


class ListValue(SizedValue):
    """The items of a repeated field; `head` is their common tag if they are packed, else empty."""

    def __init__(self, head: bytes, item: Value) -> None:
        super().__init__(head)
        self.item = item

    def write(self, tree: object, out: list[bytes], depth: int, failures: Failures) -> int:
        """Appends the items of an array."""
        if not (type(tree) is list or isinstance(tree, LargeArray)):
            return failures.expected("an array", tree)
        start = len(out)
        if not self.head:
            return write_items(self.item, tree, out, depth, failures)
        out.append(b"")
        size = write_items(self.item, tree, out, depth, failures)
        if size == 0:
            del out[start:]
            return 0
        head = out[start] = with_size(self.head, self.short, size)
        return len(head) + size


def write_items(
    value: Value, items: Iterable[object], out: list[bytes], depth: int, failures: Failures
) -> int:
    """Appends the items of an array, each as `value`; returns their size."""
    size = 0
    failed = failures.count
    start = len(out)
    for index, item in enumerate(items):
        size += value.write(item, out, depth, failures)
        if failures.count != failed:
            failures.prefix(failed, f"[{index}]")
            failed = failures.count
            if failures.is_full:
                return 0
        if len(out) - start > MANY:
            start = join_from(start, out)
    return size


class MapValue(SizedValue):
    """The entries of a map: messages of a key and a value (protobuf encoding guide, "Maps")."""

    def __init__(self, head: bytes, key: Value, value: Value) -> None:
        super().__init__(head)
        self.key = key
        self.value = value

    def write(self, tree: object, out: list[bytes], depth: int, failures: Failures) -> int:
        """Appends the members of an object; each key may be there once, in whatever spelling."""
        if type(tree) is tuple:
            if depth >= MAX_DEPTH and tree:
                raise too_deep()
            return self._write_entries(tree, out, depth, failures, Keys())
        if isinstance(tree, LargeObject):
            if depth >= MAX_DEPTH:
                raise too_deep()
            write = partial(self._write_entries, tree, out, depth, failures)
            return with_few_keys(write, out, failures)
        return failures.expected("an object", tree)

    def _write_entries(
        self, pairs: Pairs, out: list[bytes], depth: int, failures: Failures, keys: Keys
    ) -> int:
        size = 0
        failed = failures.count
        start = len(out)
        for key, item in pairs:
            at = len(out)
            out.append(b"")
            entry = self.key.write(key, out, depth + 1, failures)
            # The last piece of a key is its value, with its tag or without.
            if entry and keys.is_twice(out[len(out) - 1]):
                failures.add("set twice")
            written = self.value.write(item, out, depth + 1, failures)
            if written:
                head = out[at] = with_size(self.head, self.short, entry + written)
                size += len(head) + entry + written
            else:  # the name of an enum's value that is to be ignored
                del out[at:]
            if failures.count != failed:
                failures.prefix(failed, key_step(key))
                failed = failures.count
                if failures.is_full:
                    return 0
            if len(out) - start > MANY:
                start = join_from(start, out)
        return size


def with_size(head: bytes, short: list[bytes], size: int) -> bytes:
    """Returns a tag and the size behind it; `short` is what `short_heads` returns for the tag."""
    return short[size] if size < len(short) else head + varint(size)


def join_from(start: int, out: list[bytes]) -> int:
    """Joins the pieces from index `start` to one; returns the index after it.

    A piece of a few bytes takes ten times its size. No one may keep an index behind `start`.
    """
    joined = b"".join(out[start:])
    del out[start:]
    out.append(joined)
    time.sleep(0)  # lets other threads run, as `Failures.passed`
    return start + 1


def with_few_keys(write: Callable[[Keys], int], out: list[bytes], failures: Failures) -> int:
    """Writes an object of any number of keys, and once more if two may be alike.

    `write` appends to `out` and `failures`, and returns a size.
    """
    start, failed = len(out), failures.count
    keys = Keys(bounded=True)
    size = write(keys)
    suspects = keys.suspects()
    if not suspects:
        return size
    del out[start:]
    failures.forget(failed)
    return write(Keys(bounded=True, suspects=suspects))
