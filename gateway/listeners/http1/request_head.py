"""Checks a request's head before any other work, and words each rejection."""

import re
from ipaddress import IPv6Address
from itertools import chain
from typing import Final, Protocol

from aiohttp.http_exceptions import BadHttpMethod, HttpProcessingError, LineTooLong
from multidict import CIMultiDict, CIMultiDictProxy, istr

from gateway.config.limits import Limits
from gateway.http.header_fields import HeaderFields, with_whole_lists
from gateway.status import Code, StatusError

__all__ = ["Code", "HeaderFields", "Limits", "StatusError"]
__all__ += ["TARGET_SLACK_BYTES", "Head", "ParsedHead", "asks_for_websocket", "awaits_continue"]
__all__ += ["check_request_line", "framed", "is_host", "is_too_large", "malformed", "read_fields"]
__all__ += ["timed_out", "too_long", "too_many_fields", "with_host_of"]

# Added to the parser's limit, so that a target just over the limit is still parsed and logged.
TARGET_SLACK_BYTES: Final = 255

_HOST: Final = istr("Host")
_TRANSFER_ENCODING: Final = istr("Transfer-Encoding")
_UPGRADE: Final = istr("Upgrade")
# RFC 3986 section 3.2.2 with the port, but without the comma, because two Host fields are joined by
# a comma. An address in brackets is checked separately.
_AUTHORITY: Final = re.compile(
    r"(?:\[([0-9A-Fa-f:.]{2,45})\]|(?:[A-Za-z0-9\-._~!$&'()*+;=]|%[0-9A-Fa-f]{2}){0,255}+)"
    r"(?::([0-9]{0,5}))?"
)
_GREATEST_PORT: Final = 65535
_MALFORMED: Final = "the request is not well-formed HTTP"
# The parser quotes the request line. A line that is one but for its method has an unknown method.
_UNKNOWN_METHOD: Final = re.compile(
    r"Invalid method encountered:\s+b['\"][!#$%&'*+.^_`|~0-9A-Za-z-]+ [^ ]+ HTTP/1\.[01]['\"]"
)
_REASONS: Final = (
    ("Missing 'Host'", "it has no Host header; expected one such as Host: api.example.com"),
    ("Duplicate 'Host'", "it has several Host headers; expected one"),
    ("can't be present with", "it has Content-Length and Transfer-Encoding; expected one of them"),
    ("Content-Length", "its Content-Length is invalid; expected one number"),
    (
        "Transfer-Encoding",
        "its Transfer-Encoding is invalid; expected chunked, once and at the end",
    ),
    ("chunk", "a chunk of its body is invalid; expected a hexadecimal size, CRLF, the bytes, CRLF"),
    ("header", "a header line is invalid; expected Name: value in one line that ends in CRLF"),
    ("HTTPS", "it is TLS, but this port serves plain HTTP; expected http:// in its URL"),
)
"""A part of the text of the parser, and the reason that the client gets for it."""


class Head(Protocol):
    """The head of a request, of any parser."""

    method: str
    path: str
    """The request target, as received."""
    version: tuple[int, int]
    headers: CIMultiDictProxy[str]
    raw_headers: tuple[tuple[bytes, bytes], ...]
    should_close: bool
    upgrade: bool
    chunked: bool


class ParsedHead(Head, Protocol):
    """A head from aiohttp's parser, in C or in Python."""

    def _replace(self, *, should_close: bool) -> "ParsedHead":
        """Returns a copy with another value of `should_close`."""
        ...


def check_request_line(message: Head, limits: Limits) -> None:
    """Rejects unsupported versions and transfer codings, and targets over the limit.

    Raises:
        StatusError: HTTP status 505, 501 or 414.
    """
    if message.version[0] != 1:
        raise _unsupported_version()
    if len(message.path) > limits.url_bytes:
        raise too_long("request target", limits.url_bytes, 414)
    # If chunked is not the last coding, the body has no end, and the parser has rejected it (RFC
    # 9112 section 6.3). So only codings inside the chunks are left to reject.
    if message.chunked and message.headers.get(_TRANSFER_ENCODING, "").lower() != "chunked":
        raise StatusError(
            Code.UNIMPLEMENTED,
            "the only transfer coding served is chunked; expected Transfer-Encoding: chunked",
            http_status=501,
        )


def framed(message: ParsedHead) -> Head:
    """Returns the head of a chunked request; after one of HTTP/1.0 the connection closes.

    RFC 9112 section 6.1: HTTP/1.0 has no Transfer-Encoding, so the end of the body is uncertain.
    """
    if message.version < (1, 1):
        return message._replace(should_close=True)
    return message


def read_fields(message: Head, limits: Limits) -> HeaderFields:
    """Returns the header fields of a request.

    Raises:
        StatusError: HTTP status 431 if they exceed the limit; 400 for an invalid `Host`.
    """
    total = sum(map(len, chain.from_iterable(message.raw_headers)))
    if total > limits.headers_total_bytes:
        raise too_long("header section", limits.headers_total_bytes, 431)
    host = message.headers.get(_HOST)
    if host is not None and not is_host(host):
        raise _no_host("Host header")
    return HeaderFields(with_whole_lists(message.headers), message.raw_headers)


def is_host(text: str) -> bool:
    """True for a valid host with or without a port (RFC 9110 section 7.2), also if empty."""
    found = _AUTHORITY.fullmatch(text)
    if found is None or int(found[2] or 0) > _GREATEST_PORT:
        return False
    return found[1] is None or _is_ipv6(found[1])


def with_host_of(target: str, fields: HeaderFields) -> HeaderFields:
    """Returns the fields with the host of an absolute request target as `Host`.

    RFC 9112 section 3.2.2: the received Host header is ignored.

    Raises:
        StatusError: HTTP status 400 for an invalid host.
    """
    rest = target.partition("://")[2]
    authority = re.split("[/?]", rest, maxsplit=1)[0].rpartition("@")[2]
    if not authority or authority.startswith(":") or not is_host(authority):
        raise _no_host("request target")
    by_name = CIMultiDict(fields.by_name)
    by_name[_HOST] = authority
    raw = [one for one in fields.raw if one[0].lower() != b"host"]
    return HeaderFields(CIMultiDictProxy(by_name), ((b"Host", authority.encode()), *raw))


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def awaits_continue(expectation: str, version: tuple[int, int]) -> bool:
    """True if the client waits for 100 Continue before its body (RFC 9110 section 10.1.1).

    Raises:
        StatusError: HTTP status 417 for any other expectation.
    """
    if version < (1, 1):
        return False
    if all(one.strip() == "100-continue" for one in expectation.lower().split(",")):
        return True
    raise StatusError(
        Code.INVALID_ARGUMENT,
        "this expectation is not supported; expected 100-continue",
        http_status=417,
    )


def asks_for_websocket(message: Head) -> bool:
    """True if this is the client's part of a WebSocket handshake (RFC 6455 section 4.1)."""
    upgrades = ",".join(message.headers.getall(_UPGRADE, ())).lower().split(",")
    offers = "websocket" in map(str.strip, upgrades)
    return offers and message.method == "GET" and message.version >= (1, 1)


def timed_out(part: str) -> StatusError:
    """Returns the error for a head or a body that arrives too slowly: HTTP status 408."""
    return StatusError(
        Code.DEADLINE_EXCEEDED, f"the request's {part} took too long to arrive", http_status=408
    )


def malformed(error: HttpProcessingError, limits: Limits) -> StatusError:
    """Converts an error of the parser, so that the client sees no text of the library."""
    if isinstance(error, LineTooLong):
        if str(limits.url_bytes + TARGET_SLACK_BYTES) in map(str, error.args):
            return too_long("request target", limits.url_bytes, 414)
        return too_long("header field", limits.header_bytes, 431)
    if is_too_large(error):
        return too_many_fields(limits.header_count)
    text = str(error.message)
    if isinstance(error, BadHttpMethod) and _UNKNOWN_METHOD.match(text) is not None:
        # RFC 9110 section 9.1: a method that is not recognised is 501.
        return StatusError(
            Code.UNIMPLEMENTED,
            "the HTTP method is not known; expected one such as GET, in upper case",
            http_status=501,
        )
    said = text.partition("\n\n")[0]  # what follows quotes the client
    if "Invalid HTTP version" in said:
        return _unsupported_version()
    for part, reason in _REASONS:
        if part in said:
            return StatusError(Code.INVALID_ARGUMENT, f"{_MALFORMED}: {reason}")
    return StatusError(Code.INVALID_ARGUMENT, _MALFORMED)


def is_too_large(error: HttpProcessingError) -> bool:
    """True if the parser rejected a head only for its size."""
    return isinstance(error, LineTooLong) or "Too many headers" in str(error.message)


def _unsupported_version() -> StatusError:
    return StatusError(
        Code.INVALID_ARGUMENT,
        "this HTTP version is not supported; expected HTTP/1.1 or HTTP/1.0",
        http_status=505,
    )


def _no_host(where: str) -> StatusError:
    return StatusError(
        Code.INVALID_ARGUMENT,
        f"the {where} has no valid host; expected one such as api.example.com:8080",
    )


def too_many_fields(limit: int) -> StatusError:
    """Returns the error for more header fields than the limit: HTTP status 431."""
    return StatusError(
        Code.INVALID_ARGUMENT, f"there are more than {limit} header fields", http_status=431
    )


def too_long(what: str, limit_bytes: int, http_status: int) -> StatusError:
    """Returns the error for a part of a head that is longer than its limit."""
    return StatusError(
        Code.INVALID_ARGUMENT,
        f"the {what} is longer than {limit_bytes} bytes",
        http_status=http_status,
    )
