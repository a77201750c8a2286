"""The heads of requests that another server has parsed, checked as the gateway's own are."""

import re
from collections.abc import Sequence
from typing import Final

from multidict import CIMultiDict, CIMultiDictProxy

from gateway.config.grammar import is_token
from gateway.http.messages import Request, origin_form
from gateway.listeners.http1.request_head import (
    Limits,
    asks_for_websocket,
    awaits_continue,
    check_request_line,
    read_fields,
    too_long,
    too_many_fields,
    with_host_of,
)
from gateway.status import invalid_argument

RawFields = tuple[tuple[bytes, bytes], ...]

# RFC 9110 section 5.5: a value has no control characters but the tab.
_VALUE: Final = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
# The characters that the parser of the gateway's own connections accepts in a request target.
_TARGET: Final = re.compile(r"[\x21-\x7e]+")
_LENGTH: Final = re.compile(r"[0-9]{1,18}")
# Fields that must not come twice, because two readers could take different ones.
_ONCE: Final = ("Host", "Content-Length", "Content-Type", "Transfer-Encoding", "User-Agent")


_HTTP_VERSIONS: Final = ("1.0", "1.1", "2", "3")
"""Those of ASGI; they become values of a label, so there are no others."""


class ReceivedHead:
    """The head of a request as another server has received it.

    `path` is the request target, and `headers` are the `raw_headers` by name. The version is stated
    as HTTP/1.1, because framing and connection are the server's.
    """

    def __init__(
        self,
        method: str,
        path: str,
        headers: CIMultiDictProxy[str],
        raw_headers: RawFields,
        http_version: str = "1.1",
    ) -> None:
        """Takes the version that the client spoke, as ASGI names it, for those who monitor."""
        self._http_version = http_version if http_version in _HTTP_VERSIONS else ""
        self.method = method
        self.path = path
        self.version = (1, 1)
        self.headers = headers
        self.raw_headers = raw_headers
        self.should_close = self.upgrade = False
        self.chunked = "Transfer-Encoding" in headers

    def request(self, peer: str, limits: Limits, *, websockets: bool) -> Request:
        """Returns the request of this head, without a body.

        Raises:
            StatusError: the head is invalid or over a limit.
        """
        check_request_line(self, limits)
        fields = read_fields(self, limits)
        if fields.expect is not None:
            awaits_continue(fields.expect, self.version)
        target = origin_form(self.method, self.path)
        if self.path[:1] not in ("/", "*"):
            fields = with_host_of(self.path, fields)
        request = Request(self.method, target, fields, peer)
        request.http_version = self._http_version
        request.wants_websocket = websockets and asks_for_websocket(self)
        return request


def check_head(head: ReceivedHead, limits: Limits) -> None:
    """Checks what a server might let pass: the grammar of each part, and the limits of fields.

    RFC 9110 sections 5.1, 5.5, 5.6.2 and 8.6; RFC 3986 section 2.

    Raises:
        StatusError: INVALID_ARGUMENT, with the part that is wrong; HTTP status 431 over a limit.
    """
    if not is_token(head.method):
        raise invalid_argument("", "expected an HTTP method that is one token, such as GET")
    if _TARGET.fullmatch(head.path) is None:
        raise invalid_argument(
            "", "expected a path and query of ASCII characters without blanks; escape others as %20"
        )
    _check_fields(head.raw_headers, limits)
    for name in _ONCE:
        if len(head.headers.getall(name, ())) > 1:
            raise invalid_argument("", f"there are several {name} headers; expected one")
    length = head.headers.get("Content-Length")
    if length is not None and _LENGTH.fullmatch(length) is None:
        raise invalid_argument("", "expected a Content-Length of at most 18 digits")


def _check_fields(fields: RawFields, limits: Limits) -> None:
    if len(fields) > limits.header_count:
        raise too_many_fields(limits.header_count)
    for name, value in fields:
        if not is_token(name.decode("latin-1")):
            raise invalid_argument(
                "", "expected header names that are tokens, such as X-Request-Id"
            )
        if _VALUE.fullmatch(value) is None:
            text = name.decode("latin-1")
            raise invalid_argument("", f"the header {text} contains control characters")
        if len(name) + len(value) > limits.header_bytes:
            raise too_long("header field", limits.header_bytes, 431)


def by_name(raw: Sequence[tuple[bytes, bytes]]) -> CIMultiDictProxy[str]:
    """Returns header fields by name, decoded as the gateway's own parser decodes them."""
    pairs = [(n.decode("latin-1"), v.decode("utf-8", "surrogateescape")) for n, v in raw]
    return CIMultiDictProxy(CIMultiDict(pairs))
