"""Recognises a request whose header fields equal those of the request before it.

Most clients keep a connection open and send the same header fields with every request. Fields that
the parser has accepted once are not parsed again: only the request line is parsed, and the length
of the body if it differs. This avoids a fifteenth of the cost of a small request, and a tenth if
it has a body.

The result is always the same as the parser's. The fields are byte for byte those that it accepted;
the request line has an unambiguous form; and the request before arrived complete and alone in one
piece, so the start of this request is certain. The parser reads every other request.
"""

import re
from typing import Final

from aiohttp import StreamReader
from multidict import CIMultiDict, CIMultiDictProxy

from gateway.config.limits import Limits
from gateway.http.header_fields import HeaderFields
from gateway.listeners.http1.request_head import Head

_METHODS: Final = {name.encode(): name for name in ("GET", "POST", "PUT", "PATCH", "DELETE")}
_VERSION: Final = b" HTTP/1.1"
_MAX_METHOD_BYTES: Final = 7
# The characters that a path and a query may have (RFC 3986 sections 3.3 and 3.4).
_TARGET: Final = (
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=:@/?%"
)
_LENGTH: Final = re.compile(rb"\r\ncontent-length: ?([1-9]\d{0,8})(?=\r\n)", re.IGNORECASE).search
_NUMBER: Final = re.compile(rb"[1-9]\d{0,8}(?=\r\n)").match

Repeated = tuple[str, str, HeaderFields, bytes]
"""A complete request: method, target, fields, body."""


class RepeatedHead:
    """The last request of one connection, kept to recognise the next one."""

    __slots__ = (
        "_after",
        "_before",
        "_fields",
        "_head",
        "_length",
        "_limits",
        "_target_bytes",
        "message",
    )

    message: Head
    """The head of the learned request; a repetition may differ only in method and target."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._target_bytes = limits.url_bytes
        self._fields: HeaderFields | None = None
        """None while no request is known."""
        self._head = b""
        """The bytes between request line and body."""
        self._before = self._after = b""
        """The parts of `_head` before and after the body's length; empty without a body."""
        self._length = 0

    def learn(self, data: bytes, message: Head, body: StreamReader, fields: HeaderFields) -> None:
        """Stores the request that the parser read from `data`, if it is of a safe kind.

        Not stored: requests that close or upgrade the connection, with chunks, a content coding or
        an expectation, and those that did not arrive whole and alone in `data`.
        """
        at, end = data.find(b"\r\n"), data.find(b"\r\n\r\n") + 4
        length = len(data) - end
        if (
            message.should_close
            or message.upgrade
            or message.chunked
            or fields.is_encoded
            or fields.expect is not None
            or not body.is_eof()
            or body.total_bytes != length
            or not self._allows(length)
            or _line(data, at) is None
        ):
            return
        self._before = self._after = b""
        if length:
            found = _LENGTH(data, at, end)
            if found is None or int(found[1]) != length:
                return
            first, last = found.span(1)
            self._before, self._after = data[at + 2 : first], data[last:end]
        self.message, self._fields = message, fields
        self._head, self._length = data[at + 2 : end], length

    def read(self, data: bytes) -> Repeated | None:
        """Returns the request in `data`, if it is complete, alone, and has the known fields.

        Otherwise returns None: the parser must read it, and the stored request is dropped.
        """
        fields = self._fields
        if fields is None:
            return None
        at = data.find(b"\r\n")
        line = _line(data, at)
        if line is not None and len(line[1]) <= self._target_bytes:
            end = at + 2 + len(self._head)
            if len(data) == end + self._length and data.startswith(self._head, at + 2):
                return line[0], line[1], fields, data[end:]
            other = self._of_another_length(data, at + 2, fields) if self._before else None
            if other is not None:
                end = at + 2 + len(self._head)
                return line[0], line[1], other, data[end:]
        self._fields = None
        return None

    def _of_another_length(self, data: bytes, at: int, fields: HeaderFields) -> HeaderFields | None:
        """Returns the fields at `at`, if only the body's length differs, and stores them."""
        number = _NUMBER(data, at + len(self._before))
        if number is None or not data.startswith(self._before, at):
            return None
        end, length = number.end() + len(self._after), int(number[0])
        whole = len(data) == end + length and data.startswith(self._after, number.end())
        if not whole or not self._allows(length):
            return None
        self._head, self._length = data[at:end], length
        self._fields = _with_length(fields, number[0])
        return self._fields

    def _allows(self, length: int) -> bool:
        most = self._limits.stream_bytes
        return length <= self._limits.body_bytes and (most is None or length <= most)


def _line(data: bytes, end: int) -> tuple[str, str] | None:
    """Returns method and target of the request line that ends at `end`, if it is unambiguous.

    A target that starts with two slashes could be an authority, so the parser must read it.
    """
    space = data.find(b" ", 0, _MAX_METHOD_BYTES)
    method = _METHODS.get(data[:space]) if space > 0 else None
    last = end - len(_VERSION)
    if method is None or last <= space or data[last:end] != _VERSION:
        return None
    target = data[space + 1 : last]
    if not target.startswith(b"/") or target.startswith(b"//") or target.translate(None, _TARGET):
        return None
    return method, target.decode()


def _with_length(fields: HeaderFields, length: bytes) -> HeaderFields:
    """Returns the same fields with another Content-Length."""
    by_name = CIMultiDict(fields.by_name)
    by_name["Content-Length"] = length.decode()
    raw = [(name, length if name.lower() == b"content-length" else was) for name, was in fields.raw]
    return HeaderFields(CIMultiDictProxy(by_name), tuple(raw))
