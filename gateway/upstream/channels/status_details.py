"""Errors of calls to back ends, in the same words for each kind of channel."""

import logging
from collections.abc import Sequence
from math import ceil

from google.protobuf import any_pb2
from google.protobuf.message import DecodeError
from google.rpc import status_pb2

from gateway.status import Code, StatusError, UnreadableReplyError
from gateway.telemetry.event import about
from gateway.transcoding.metadata import Metadata

logger = logging.getLogger("gateway.upstream")

DETAILS = "grpc-status-details-bin"
PUSHBACK = "grpc-retry-pushback-ms"
PREVIOUS_ATTEMPTS = "grpc-previous-rpc-attempts"
"""The metadata with the number of earlier attempts of a call that was repeated (gRFC A6)."""
_OF_GRPC = (DETAILS, PUSHBACK)

_DEADLINE_WORDS = frozenset(
    {"deadline exceeded", "context deadline exceeded", "deadline%20exceeded"}
)
"""Messages with which gRPC libraries of back ends report our deadline, in lower case; grpc-js
escapes its message twice."""
LATE = "the call did not finish in time"


class BackendError(StatusError):
    """The status that the back end itself ended a call with."""

    pushback_ms: str | None = None
    """The value of grpc-retry-pushback-ms (gRFC A6), as it was sent; None without one."""


def backend_error(code: int, message: str, metadata: Metadata, trailers: Metadata) -> BackendError:
    """The error a back end ended a call with.

    The code and message are those of the trailers; only details are taken from
    grpc-status-details-bin, and bytes that are not a google.rpc.Status are kept as one detail.
    """
    if code == Code.DEADLINE_EXCEEDED and message.lower() in _DEADLINE_WORDS:
        message = LATE
    error = BackendError(
        Code.of(code),
        message,
        details=_details(trailers),
        metadata=metadata,
        trailers=[entry for entry in trailers if entry[0] not in _OF_GRPC],
    )
    error.was_processed = True
    for name, value in trailers:
        if name == PUSHBACK:
            error.pushback_ms = str(value)
    return error


def _details(trailers: Metadata) -> Sequence[any_pb2.Any]:
    for name, value in trailers:
        if name == DETAILS and isinstance(value, bytes):
            try:
                return list(status_pb2.Status.FromString(value).details)
            except DecodeError:
                return [any_pb2.Any(type_url="type.googleapis.com/google.rpc.Status", value=value)]
    return ()


def unavailable_text(upstream: str) -> str:
    """The words for a back end that cannot be reached."""
    return f'upstream "{upstream}" is unavailable'


def retry_after(seconds: float = 1.0) -> list[tuple[str, str]]:
    """The HTTP header with the seconds after which another try may succeed."""
    return [("Retry-After", str(max(1, ceil(seconds))))]


def unavailable(upstream: str) -> StatusError:
    """A call that its back end may have seen, and did not answer."""
    return StatusError(Code.UNAVAILABLE, unavailable_text(upstream), headers=retry_after())


def deadline_exceeded() -> StatusError:
    """A call whose deadline has passed."""
    return StatusError(Code.DEADLINE_EXCEEDED, LATE)


def of_breach(upstream: str) -> UnreadableReplyError:
    """The error of a reply that breaks gRPC's own rules."""
    return UnreadableReplyError(f'upstream "{upstream}" broke the gRPC protocol')


def too_large(limit_bytes: int) -> StatusError:
    """A reply over the limit."""
    return StatusError(
        Code.RESOURCE_EXHAUSTED,
        f"the back end's reply is larger than {limit_bytes} bytes",
        http_status=500,
    )


def headers_too_large(upstream: str, limit_bytes: int) -> StatusError:
    """A reply whose headers or trailers are over the limit; logs a warning.

    The HTTP status is not 429, that of its code, because another try would fail in the same way.
    """
    logger.warning(
        "upstream %s: a reply's headers or trailers are larger than %d bytes "
        "(upstreams.%s.max_header_bytes): the call failed",
        upstream,
        limit_bytes,
        upstream,
        extra=about("gateway.upstream.headers_too_large", gateway__upstream=upstream),
    )
    return StatusError(
        Code.RESOURCE_EXHAUSTED,
        f"the headers of the back end's reply are larger than {limit_bytes} bytes",
        http_status=500,
    )
