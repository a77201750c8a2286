"""Reads single lines of heads, and remembers the lines that many requests have in common.

A line is known here only if the parser would certainly accept it, and if it means nothing for the
connection or for the framing of the body. Every other line is left to the parser, with its request.
"""

import re
from typing import Final

from aiohttp import hdrs
from multidict import istr

from gateway.config.grammar import LOWER_TOKEN
from gateway.http import header_fields
from gateway.http.header_fields import HeaderLine, HeaderName
from gateway.http.request_id import is_well_formed
from gateway.listeners.http1.request_head import is_host

_LINES_A_GENERATION: Final = 1024
_MAX_LINE_BYTES: Final = 512
_NAMES: Final = 1024
_MAX_NAME_BYTES: Final = 64
"""The longest name that the parser spells in its own way; longer ones are left to it."""
_SPACE: Final = 0x20

_TOKEN: Final = re.compile(LOWER_TOKEN)
# Visible ASCII and space stay; every other byte, also NUL, becomes another one. `translate` with a
# table costs less than a pattern.
_PRINTABLE: Final = bytes([b if 0x20 <= b <= 0x7E else (0 if b else 1) for b in range(256)])
_LENGTH: Final = re.compile(rb"[1-9][0-9]{0,8}")
_SPELLED: Final = {
    str(name).lower().encode(): name for name in vars(hdrs).values() if isinstance(name, istr)
}
"""The names that the parser spells in its own way, by the name in lower case."""

# They say something about the connection or the body (RFC 9110, RFC 9112), can be refused by their
# value, or hold binary data.
_FOR_THE_PARSER: Final = re.compile(
    r"content-encoding|transfer-encoding|upgrade|te|trailer|expect|keep-alive|proxy-connection"
    r"|sec-websocket-.*|.*-bin"
)
_CONNECTION: Final = 1 << 17
_CHECKED: Final = header_fields.HOST | header_fields.CONTENT_LENGTH | _CONNECTION
"""The roles whose values have a form of their own."""
_ROLES: Final = {
    "host": header_fields.HOST,
    "accept": header_fields.ACCEPT,
    "accept-encoding": header_fields.ACCEPT_ENCODING,
    "content-type": header_fields.CONTENT_TYPE,
    "content-length": header_fields.CONTENT_LENGTH,
    "user-agent": header_fields.USER_AGENT,
    "x-request-id": header_fields.REQUEST_ID,
    "traceparent": header_fields.TRACEPARENT,
    "grpc-timeout": header_fields.TIMEOUT,
    "if-match": header_fields.CONDITION,
    "if-none-match": header_fields.CONDITION,
    "connection": _CONNECTION,
    # The parser refuses these, too, if they come twice; the gateway refuses the last.
    "content-location": 1 << 11,
    "content-range": 1 << 12,
    "etag": 1 << 13,
    "max-forwards": 1 << 14,
    "server": 1 << 15,
    "authorization": header_fields.AUTHORIZATION,
    "tracestate": header_fields.TRACESTATE,
    "if-modified-since": header_fields.SINCE,
    "if-unmodified-since": header_fields.SINCE,
}
_UNIQUE: Final = frozenset({"traceparent", "tracestate", "baggage", "x-request-id"})
"""Fields that differ in each request."""
_NOT_SHARED: Final = re.compile(
    r"b3|x-b3-.*|.*(?:auth|cookie|key|token|secret|passw|session|csrf|xsrf|signature).*"
)
"""Names of more fields that differ in each request, and of secrets."""


class KnownLines:
    """The lines that all connections share, bounded in number and size.

    There are two generations. When the young one is full, it replaces the old one; an old line that
    is found again becomes young. So a client that sends ever new lines cannot remove the lines that
    others use for longer than one generation.
    """

    def __init__(self) -> None:
        self._young: dict[bytes, HeaderLine] = {}
        self._old: dict[bytes, HeaderLine] = {}
        self._names: dict[bytes, HeaderName] = {}

    def line(self, data: bytes) -> HeaderLine | None:
        """Returns the line with these bytes, without CRLF; None if the parser has to read it."""
        known = self._young.get(data)
        if known is not None:
            return known
        known = self._old.get(data)
        if known is None:
            name = self._name(data)
            known = None if name is None else parse_line(name, data[name.start :], data)
            if known is None or not known.name.is_shared or len(data) > _MAX_LINE_BYTES:
                return known
        if len(self._young) >= _LINES_A_GENERATION:
            self._old, self._young = self._young, {}
        self._young[data] = known
        return known

    def _name(self, data: bytes) -> HeaderName | None:
        end = data.find(b": ", 0, _MAX_NAME_BYTES + 2)
        if end <= 0:
            return None
        raw = data[:end]
        name = self._names.get(raw)
        if name is not None:
            return name
        lower = raw.decode("latin-1").lower()
        if _TOKEN.fullmatch(lower) is None or not lower.isascii():
            return None
        if len(self._names) >= _NAMES:
            self._names.clear()
        name = self._names[raw] = HeaderName(
            raw,
            _SPELLED.get(raw.lower()) or istr(raw.decode("ascii")),
            role=_ROLES.get(lower, 0),
            is_plain=_FOR_THE_PARSER.fullmatch(lower) is None,
            is_shared=lower not in _UNIQUE and _NOT_SHARED.fullmatch(lower) is None,
        )
        return name


KNOWN_LINES: Final = KnownLines()
"""The lines of this process."""


def parse_line(name: HeaderName, value: bytes, data: bytes = b"") -> HeaderLine | None:
    """Returns the line of a field, if its value has the plain form; otherwise None.

    Plain are visible characters of ASCII, with spaces only between them (RFC 9110 section 5.5).
    `Connection: keep-alive` says nothing in HTTP/1.1 (RFC 9112 section 9.3), so it is plain too.
    """
    if not name.is_plain or not value or value[0] == _SPACE or value[-1] == _SPACE:
        return None
    role = name.role
    is_id = role == header_fields.REQUEST_ID and is_well_formed(value)
    if not is_id and value.translate(_PRINTABLE) != value:
        return None
    line = HeaderLine(name, data, value)
    line.is_id = is_id
    if not role & _CHECKED:
        return line
    if role == header_fields.HOST and not is_host(line.text):
        return None
    if role == header_fields.CONTENT_LENGTH and _LENGTH.fullmatch(value) is None:
        return None
    if role == _CONNECTION and value.lower() != b"keep-alive":
        return None
    return line
