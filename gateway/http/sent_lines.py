"""The heads of responses that differ only in the id of their request, made once."""

from typing import Final

ID_NAME: Final = "X-Request-Id"
MOST_CHARACTERS: Final = 1024
"""The length up to which the lines of a head are kept; most heads have half of it."""

Lines = list[tuple[str, str]]


class SentHead:
    """The head of a response to a stored reply, for the next ones with the same parts."""

    __slots__ = (
        "_after",
        "_at",
        "_at_date",
        "_before",
        "_is_gzip",
        "_kind",
        "_length",
        "_own",
        "_start",
        "_variant",
        "date",
        "fixed",
        "headers",
    )

    def __init__(
        self, own: Lines, variant: str, fixed: str, headers: Lines, date: str, *, is_gzip: bool
    ) -> None:
        """Takes what decides it: the headers of the guards, what the hooks read of a request, and
        the coding. `headers` are all of its own, one of them with the id of a request.
        """
        self._own = own
        self._variant = variant
        self._is_gzip = is_gzip
        self.fixed = fixed
        self.headers = headers
        self.date = date
        self._at = [name for name, _ in headers].index(ID_NAME)
        self._start = self._at_date = self._kind = ""
        self._length = -1
        self._before = self._after = b""

    @property
    def length(self) -> int:
        """The characters of its lines, and of what decides them."""
        lines = sum([len(name) + len(value) + 4 for name, value in self.headers])
        return lines + len(self.fixed) + len(self._variant)

    def is_of(self, own: Lines, variant: str, *, is_gzip: bool) -> bool:
        """True if these parts decide it."""
        return is_gzip == self._is_gzip and variant == self._variant and own == self._own

    def headers_of(self, request_id: str) -> Lines:
        """Returns its headers with the id of another request."""
        headers = self.headers.copy()
        headers[self._at] = ID_NAME, request_id
        return headers

    def written(self, start: str, date: str, kind: str, headers: Lines, body: bytes) -> bytes:
        """Returns a response with its headers: `start` is what is before the date, and `kind` the
        media type or empty.
        """
        if (
            date != self._at_date
            or start != self._start
            or kind != self._kind
            or len(body) != self._length
        ):  # once in a second or so
            self._start, self._at_date, self._kind = start, date, kind
            self._length = len(body)
            parts = [start, date, "\r\nContent-Type: " if kind else "", kind]
            parts += ["\r\nContent-Length: ", str(len(body)), "\r\n", self.fixed]
            parts += [_joined(self.headers[: self._at]), ID_NAME, ": "]
            self._before = "".join(parts).encode("latin-1")
            rest = _joined(self.headers[self._at + 1 :])
            self._after = f"\r\n{rest}\r\n".encode("latin-1")
        request_id = headers[self._at][1].encode("latin-1")
        return b"".join((self._before, request_id, self._after, body))


class KeptHeads:
    """The last heads of one stored response: two, as pages of two origins may take turns."""

    __slots__ = ("_first", "_second")

    def __init__(self) -> None:
        self._first: SentHead | None = None
        self._second: SentHead | None = None

    def find(self, own: Lines, variant: str, *, is_gzip: bool) -> SentHead | None:
        """Returns the head that these parts decide; None if it is not kept."""
        first, second = self._first, self._second
        if first is not None and first.is_of(own, variant, is_gzip=is_gzip):
            return first
        if second is not None and second.is_of(own, variant, is_gzip=is_gzip):
            self._first = second
            self._second = first
            return second
        return None

    def keep(self, head: SentHead) -> None:
        """Keeps a head in place of the older of two, if it is short."""
        if head.length <= MOST_CHARACTERS:
            # As machine code, an assignment of both at once takes None for a head.
            self._second = self._first
            self._first = head


def _joined(headers: Lines) -> str:
    return "".join([f"{name}: {value}\r\n" for name, value in headers])
