"""What is checked of a request's head before anything is done, and how each refusal is worded."""

from collections.abc import Mapping
from itertools import chain
from typing import Final, Protocol

from aiohttp.http_exceptions import HttpProcessingError, LineTooLong

from gateway.config.model import Limits
from gateway.http.header_fields import Fields
from gateway.status import Code, StatusError

# A little more than the limit, so that a target just over it is seen whole and its log line too.
TARGET_SLACK_BYTES: Final = 255


class Head(Protocol):
    """What the parser makes of a request's head, be it aiohttp's in C or in Python."""

    method: str
    path: str
    """The request target, as it came."""
    version: tuple[int, int]
    headers: Mapping[str, str]
    raw_headers: tuple[tuple[bytes, bytes], ...]
    should_close: bool
    upgrade: bool
    chunked: bool


def check_request_line(message: Head, limits: Limits) -> None:
    """Refuses versions that are not served, and targets over the limit.

    Raises:
        StatusError: HTTP status 505 or 414.
    """
    if message.version[0] != 1:
        raise StatusError(
            Code.INVALID_ARGUMENT, "HTTP/1.1 and HTTP/1.0 are served here", http_status=505
        )
    if len(message.path) > limits.url_bytes:
        raise _too_long("request target", limits.url_bytes, 414)


def read_fields(message: Head, limits: Limits) -> Fields:
    """The header fields of a request.

    Raises:
        StatusError: HTTP status 431 for more than allowed.
    """
    total = sum(map(len, chain.from_iterable(message.raw_headers)))
    if total > limits.headers_total_bytes:
        raise _too_long("header section", limits.headers_total_bytes, 431)
    return Fields(message.headers, message.raw_headers)


def awaits_continue(expectation: str, version: tuple[int, int]) -> bool:
    """Whether the client holds its body back until 100 Continue (RFC 9110 section 10.1.1).

    Raises:
        StatusError: HTTP status 417 for any other expectation.
    """
    if version < (1, 1):
        return False
    if expectation.lower() == "100-continue":
        return True
    raise StatusError(
        Code.INVALID_ARGUMENT, "the only expectation served is 100-continue", http_status=417
    )


def asks_for_websocket(message: Head) -> bool:
    """Whether this is the client's half of a WebSocket's handshake (RFC 6455 section 4.1)."""
    stated = message.headers.get("Upgrade", "").lower()
    return message.method == "GET" and message.version >= (1, 1) and stated == "websocket"


def timed_out(part: str) -> StatusError:
    """The 408 for a head or a body that does not come."""
    return StatusError(
        Code.DEADLINE_EXCEEDED, f"the request's {part} took too long to arrive", http_status=408
    )


def malformed(error: HttpProcessingError, limits: Limits) -> StatusError:
    """What the parser found, in our words."""
    if isinstance(error, LineTooLong):
        if str(limits.url_bytes + TARGET_SLACK_BYTES) in map(str, error.args):
            return _too_long("request target", limits.url_bytes, 414)
        return _too_long("header field", limits.header_bytes, 431)
    if "Too many headers" in str(error.message):
        return StatusError(
            Code.INVALID_ARGUMENT,
            f"there are more than {limits.header_count} header fields",
            http_status=431,
        )
    return StatusError(Code.INVALID_ARGUMENT, "the request is not well-formed HTTP")


def _too_long(what: str, limit_bytes: int, http_status: int) -> StatusError:
    return StatusError(
        Code.INVALID_ARGUMENT,
        f"the {what} is longer than {limit_bytes} bytes",
        http_status=http_status,
    )
