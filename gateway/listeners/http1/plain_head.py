"""Reads the requests of one connection whose heads have a plain form, without the parser.

Most requests have heads of known lines: they, or other requests, have sent the same lines before.
A parsed line is shared with all that was made of it, so that only the lines that differ cost more
than a comparison. `docs/performance.md` says what this saves.

The result is always the same as the parser's. The request is complete and alone in one read; its
request line has an unambiguous form; and each line is one that the parser accepts, and that says
nothing about the connection (`known_lines.py`). The parser reads every other request, whole.
"""

from typing import Final

from multidict import CIMultiDict, CIMultiDictProxy

from gateway.config.limits import Limits
from gateway.http.header_fields import HOST, HeaderFields, HeaderLine
from gateway.listeners.http1.known_lines import KNOWN_LINES, parse_line

_METHODS: Final = {name.encode(): name for name in ("GET", "POST", "PUT", "PATCH", "DELETE")}
_VERSION: Final = b" HTTP/1.1"
_MAX_METHOD_BYTES: Final = 7
# The characters that a path and a query may have (RFC 3986 sections 3.3 and 3.4) stay; every other
# byte becomes another one.
_CHARACTERS: Final = (
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=:@/?%"
)
_TARGET: Final = bytes([b if b in _CHARACTERS else (0 if b else 1) for b in range(256)])

PlainRequest = tuple[str, str, HeaderFields, bytes]
"""A complete request: method, target, fields, body."""


class PlainMessage:
    """The parsed head that stands for all plain ones, as far as the connection asks for it."""

    def __init__(self) -> None:
        self.method = "GET"
        self.path = ""
        self.version = (1, 1)
        self.headers: CIMultiDictProxy[str] = CIMultiDictProxy(CIMultiDict())
        self.raw_headers: tuple[tuple[bytes, bytes], ...] = ()
        self.should_close = self.upgrade = self.chunked = False

    def _replace(self, *, should_close: bool) -> "PlainMessage":
        """Is never called, as a plain head is never chunked."""
        raise NotImplementedError


PLAIN_MESSAGE: Final = PlainMessage()
"""The one of them that all plain requests share."""


class PlainHeads:
    """Reads plain requests, and keeps the last head to compare the next one with it."""

    __slots__ = ("_fields", "_head", "_limits", "_lines", "_most_bytes", "_target_bytes")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._target_bytes = limits.url_bytes
        # With all lines shorter than the limit of one, neither limit has to be checked again.
        self._most_bytes = min(limits.header_bytes, limits.headers_total_bytes)
        self._fields: HeaderFields | None = None
        self._head = b""
        """The last head after its request line, with the empty line at its end."""
        self._lines: list[HeaderLine] = []

    def read(self, data: bytes) -> PlainRequest | None:
        """Returns the request in `data`, if it is plain, complete, and alone.

        None if the parser has to read it. Call it only while the parser waits for a request.
        """
        at = data.find(b"\r\n")
        line = _request_line(data, at)
        if line is None or len(line[1]) > self._target_bytes:
            return None
        start = at + 2
        fields = self._fields
        if fields is not None and data.startswith(self._head, start):
            end = start + len(self._head)
        else:
            last = data.find(b"\r\n\r\n", start)
            if last < 0 or last - start > self._most_bytes:
                return None
            fields = self._fields_of(data[start:last])
            if fields is None:
                return None
            end = last + 4
            self._head, self._fields = data[start:end], fields
        length = fields.content_length
        if len(data) != end + length or (length and not self._allows(length)):
            return None
        return line[0], line[1], fields, data[end:]

    def _fields_of(self, head: bytes) -> HeaderFields | None:
        found: list[HeaderLine] = []
        before, roles = self._lines, 0
        count = len(before)
        lines = head.split(b"\r\n")
        if len(lines) > self._limits.header_count:
            return None
        for number, data in enumerate(lines):
            line: HeaderLine | None = None
            if number < count:  # clients send their fields in the same order each time
                was = before[number]
                if was.data == data:
                    line = was
                elif not was.name.is_shared and data.startswith(was.name.prefix):
                    line = parse_line(was.name, data)
            if line is None:
                line = KNOWN_LINES.line(data)
                if line is None:
                    return None
            role = line.name.role
            if role:
                if roles & role:
                    return None
                roles |= role
            found.append(line)
        if not roles & HOST:
            return None
        self._lines = found
        return HeaderFields(None, (), found)

    def _allows(self, length: int) -> bool:
        most = self._limits.stream_bytes
        return length <= self._limits.body_bytes and (most is None or length <= most)


def _request_line(data: bytes, end: int) -> tuple[str, str] | None:
    """Returns method and target of the request line that ends at `end`, if it is unambiguous.

    A target that starts with two slashes could be an authority, so the parser must read it.
    """
    space = data.find(b" ", 0, _MAX_METHOD_BYTES)
    method = _METHODS.get(data[:space]) if space > 0 else None
    last = end - len(_VERSION)
    if method is None or last <= space or data[last:end] != _VERSION:
        return None
    target = data[space + 1 : last]
    if not target.startswith(b"/") or target.startswith(b"//"):
        return None
    if target.translate(_TARGET) != target:
        return None
    return method, target.decode("ascii")
