"""Reads JSON bodies to protobuf wire bytes: parses the text, then walks the tree by a plan."""

from collections.abc import Callable, Collection

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.transcoding.json.reading.failures import Failures, member_step
from gateway.transcoding.json.reading.messages import Member, Plan
from gateway.transcoding.json.reading.plans import Plans
from gateway.transcoding.json.text import parse


class JsonReader:
    """Makes the readers of message types; what its arguments mean, `Plans` says.

    `depth` is the nesting limit of the text.
    """

    def __init__(
        self,
        find: Callable[[str], Descriptor | None],
        ignored: Collection[str] | None,
        *,
        depth: int,
    ) -> None:
        self._plans = Plans(find, ignored)
        self._depth = depth

    def message(self, message: Descriptor) -> Callable[[bytes], bytes]:
        """Makes the reader from JSON of a message to its wire bytes.

        It raises `StatusError` (INVALID_ARGUMENT) with the path of every invalid value, up to 20.
        """
        return _MessageReader(self._plans.message(message), self._depth).read

    def field(self, field: FieldDescriptor) -> Callable[[bytes], bytes]:
        """Makes the reader from JSON of a field's value to a message with only that field set."""
        return _FieldReader(self._plans.member(field), self._depth).read


class _MessageReader:
    def __init__(self, plan: Plan, depth: int) -> None:
        self._plan = plan
        self._depth = depth

    def read(self, body: bytes) -> bytes:
        """Reads a body that is a whole message."""
        failures = Failures()
        out: list[bytes] = []
        self._plan.write(parse(body, depth=self._depth), out, 0, failures)
        if failures.count:
            raise failures.error()
        return b"".join(out)


class _FieldReader:
    def __init__(self, member: Member, depth: int) -> None:
        self._member = member
        self._depth = depth

    def read(self, body: bytes) -> bytes:
        """Reads a body that is one field: the only member of its message; null unsets it."""
        failures = Failures()
        out: list[bytes] = []
        tree = parse(body, depth=self._depth)
        if tree is not None or self._member.takes_null:
            self._member.value.write(tree, out, 0, failures)
        if failures.count:
            failures.prefix(0, member_step(self._member.name))
            raise failures.error()
        return b"".join(out)
