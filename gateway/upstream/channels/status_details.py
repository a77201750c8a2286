"""What a back end says of a failure, whichever channel heard it."""

import logging
from collections.abc import Sequence
from math import ceil

from google.protobuf import any_pb2
from google.protobuf.message import DecodeError
from google.rpc import status_pb2

from gateway.call import Metadata
from gateway.status import Code, StatusError
from gateway.telemetry.event import about

logger = logging.getLogger("gateway.upstream")

DETAILS = "grpc-status-details-bin"

_DEADLINE_WORDS = frozenset(
    {"deadline exceeded", "context deadline exceeded", "deadline%20exceeded"}
)
"""How gRPC libraries at the back end speak of the deadline that we gave them, in any case; grpc-js
escapes its words twice."""
_LATE = "the call did not finish in time"


def backend_error(code: int, message: str, metadata: Metadata, trailers: Metadata) -> StatusError:
    """The error a back end ended a call with.

    The status of the trailers counts; of grpc-status-details-bin only the details are taken, and
    bytes that are no google.rpc.Status are kept whole as one detail.
    """
    if code == Code.DEADLINE_EXCEEDED and message.lower() in _DEADLINE_WORDS:
        message = _LATE
    return StatusError(
        Code.of(code),
        message,
        details=_details(trailers),
        metadata=metadata,
        trailers=[entry for entry in trailers if entry[0] != DETAILS],
    )


def _details(trailers: Metadata) -> Sequence[any_pb2.Any]:
    for name, value in trailers:
        if name == DETAILS and isinstance(value, bytes):
            try:
                return list(status_pb2.Status.FromString(value).details)
            except DecodeError:
                return [any_pb2.Any(type_url="type.googleapis.com/google.rpc.Status", value=value)]
    return ()


def unavailable(upstream: str, retry_after_s: float = 1.0) -> StatusError:
    """A back end that cannot be reached; it may be worth another try after so many seconds."""
    return StatusError(
        Code.UNAVAILABLE,
        f'upstream "{upstream}" is unavailable',
        headers=[("Retry-After", str(max(1, ceil(retry_after_s))))],
    )


def overloaded(upstream: str) -> StatusError:
    """A back end for which too many calls wait already."""
    return StatusError(
        Code.UNAVAILABLE,
        f'too many calls wait for upstream "{upstream}"',
        headers=[("Retry-After", "1")],
    )


def deadline_exceeded() -> StatusError:
    """A call whose time is up."""
    return StatusError(Code.DEADLINE_EXCEEDED, _LATE)


def too_large(limit_bytes: int) -> StatusError:
    """A reply over the limit."""
    return StatusError(
        Code.RESOURCE_EXHAUSTED,
        f"the back end's reply is larger than {limit_bytes} bytes",
        http_status=500,
    )


def headers_too_large(upstream: str, limit_bytes: int) -> StatusError:
    """A reply whose headers or trailers are over the limit, which the log says too.

    Not 429, its code's HTTP status: trying again would not help.
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


def metadata_too_large(limit_bytes: int) -> StatusError:
    """A call with more metadata than its back end takes."""
    return StatusError(
        Code.RESOURCE_EXHAUSTED,
        f"the headers are larger than the {limit_bytes} bytes that the back end takes",
        http_status=431,
    )
