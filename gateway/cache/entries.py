"""The stored replies, one by one."""

from collections.abc import Collection
from typing import Final

from gateway.cache.freshness import Times
from gateway.call import Forms, Metadata, RequestLine
from gateway.status import StatusError, status_bytes

# All are measured: tests/unit/cache/test_memory_use.py.
_OVERHEAD_BYTES: Final = 1700
"""The memory of one entry besides its values: objects, its places in dicts, the key of another."""
_FIELD_BYTES: Final = 170
"""The memory of a field of metadata besides its texts."""
NAME_BYTES: Final = 380
"""The memory of a path or a tag besides its text."""
_OWNER_BYTES: Final = 550
"""The memory of the list of an owner's replies, of which this may be the only one."""

Asked = tuple[str, RequestLine, str, tuple[tuple[str, str | bytes], ...]]
"""A call that is not decoded: the RPC, the request line, the caller's name, the keyed metadata."""


class Entry:
    """A stored reply. Its lists must not be changed."""

    __slots__ = (
        "_times",
        "born_s",
        "confirmed_s",
        "date",
        "error",
        "for_clients",
        "form_bytes",
        "forms",
        "fresh_until_s",
        "is_in_main",
        "key",
        "lines",
        "message",
        "metadata",
        "method",
        "nearer",
        "number",
        "owner",
        "paths",
        "shown",
        "shown_age",
        "shown_ttl",
        "size_bytes",
        "tags",
        "trailers",
        "uses",
    )

    def __init__(  # noqa: PLR0917 - the parts of a reply
        self,
        key: bytes,
        message: bytes,
        metadata: Metadata,
        trailers: Metadata,
        times: Times,
        owner: str,
        paths: Collection[str],
        *,
        tags: frozenset[str] = frozenset(),
        method: str = "",
        error: StatusError | None = None,
        for_clients: Metadata | None = None,
    ) -> None:
        """`method` is the full name of the RPC; `error` is the reply, if it is a failure.

        `for_clients` is metadata for clients alone, and not for the back end that confirms it.
        """
        self.key = key
        self.message = message
        self.metadata = [one for one in metadata if one[0] != "date"]
        self.trailers = trailers
        self.times = times
        self.owner = owner
        self.paths = set(paths)
        self.tags = tags
        self.method = method
        self.error = error
        self.for_clients = for_clients or []
        self.uses = 0
        self.is_in_main = False
        self.forms: Forms | None = None
        """The responses that were made of it; None if it is not stored."""
        self.form_bytes = 0
        """The part of its size that they take."""
        self.date = "".join(_values(metadata, "date")[:1])
        """The Date of the reply; empty if it is not known."""
        self.nearer = "".join([f"{one}, " for one in _values(metadata, "cache-status")])
        """The Cache-Status of caches that are nearer to the back end, and a comma after it."""
        self.shown: list[tuple[str, str]] = []
        """The headers of the cache that clients were last sent with it."""
        self.shown_age, self.shown_ttl = -1, 0
        """The seconds that these headers state; an age of -1 if there are none yet."""
        self.lines: list[Asked] = []
        """The calls that find it before they are decoded, the latest at the end."""
        self.confirmed_s = 0.0
        """The time at which the store that several gateways share was last asked for it."""
        self.number: int | None = None
        """The number of the last change in that store at that time; None if it is unknown."""
        self.size_bytes = self._size_bytes()

    @property
    def times(self) -> Times:
        """Its life."""
        return self._times

    @times.setter
    def times(self, times: Times) -> None:
        """Sets its life; every hit reads two attributes of it, which cost a tenth as its own."""
        self._times, self.born_s, self.fresh_until_s = times, times.born_s, times.fresh_until_s

    def renew(self, other: "Entry") -> bool:
        """Takes the times of an equal reply to the same call; False if it is not equal.

        So what was made of this one need not be made again.
        """
        if (
            self.error is not None
            or other.error is not None
            or self.message != other.message
            or self.metadata != other.metadata
            or self.trailers != other.trailers
            or self.for_clients != other.for_clients
            or self.tags != other.tags
            or not self.paths.issuperset(other.paths)
        ):
            return False
        self.times, self.date, self.shown_age = other.times, other.date, -1
        self.confirmed_s, self.number = other.confirmed_s, other.number
        return True

    def show(self, age: int, ttl: int, *, with_status: bool) -> None:
        """Makes the headers of the cache for a fresh reply, with its age and its time left."""
        self.shown_age, self.shown_ttl = age, ttl
        self.shown = [("Age", str(age))]
        if self.date:
            self.shown.append(("Date", self.date))
        if with_status:
            self.shown.append(("Cache-Status", f"{self.nearer}gateway; hit; ttl={ttl}"))

    def _size_bytes(self) -> int:
        """Returns the memory that it takes, before anything is kept with it."""
        fields = [*self.metadata, *self.trailers, *self.for_clients]
        return (
            _OVERHEAD_BYTES
            + len(self.key)
            + len(self.message)
            + sum([_FIELD_BYTES + len(name) + len(value) for name, value in fields])
            + sum([NAME_BYTES + len(name) for name in [*self.paths, *self.tags]])
            + (_OWNER_BYTES + len(self.owner) if self.owner else 0)
            + (0 if self.error is None else len(status_bytes(self.error)))
        )


class KnownLine:
    """A request line with a stored reply, for those that ask for it again."""

    __slots__ = ("entry",)

    def __init__(self, entry: Entry) -> None:
        self.entry: Entry | None = entry
        """The reply; None once it is not stored any more, or not for this line."""


class Recalling:
    """A stage that finds the reply to a call before the call is opened.

    Only the first stage of a chain is asked, as no other could then refuse the call or change it.
    """

    def find(self, line: RequestLine) -> KnownLine | None:
        """Returns the line of a plain GET of nobody known; None if its call must be opened.

        A plain request has no condition, no Authorization, and no body.
        """
        raise NotImplementedError

    def recall(self, known: KnownLine, path: str, now_s: float) -> Entry | None:
        """Returns the fresh reply to a line that was found; None if its call must be opened."""
        raise NotImplementedError

    def count_hit(self, entry: Entry, now_s: float) -> list[tuple[str, str]]:
        """Counts that a fresh reply to a GET or HEAD is sent; returns the headers of the cache.

        They must not be changed.
        """
        raise NotImplementedError


def _values(metadata: Metadata, name: str) -> list[str]:
    return [value for key, value in metadata if key == name and isinstance(value, str)]
