"""The failures of calls to back ends, in the same words for each kind of channel.

Each says how far the call came: from this, others decide if it may be sent again.
"""

import logging
from collections.abc import AsyncGenerator, Sequence
from enum import StrEnum
from math import ceil

from google.protobuf.any_pb2 import Any
from google.protobuf.message import DecodeError
from google.rpc import status_pb2
from google.rpc.error_details_pb2 import ErrorInfo

from gateway.message_stream import Parts
from gateway.status import Code, StatusError, UnreadableReplyError
from gateway.telemetry.event import about
from gateway.transcoding.metadata import Metadata
from gateway.upstream.channels.held_request import HeldRequest

__all__ = ["Code", "StatusError", "UnreadableReplyError"]
__all__ += ["DETAILS", "LATE", "PREVIOUS_ATTEMPTS", "PUSHBACK", "AnyRequest", "BackendError"]
__all__ += ["ConnectionLost", "LateAttempt", "Overloaded", "Progress", "Unprocessed"]
__all__ += ["backend_error", "connection_lost", "deadline_exceeded", "headers_too_large"]
__all__ += ["late_before_sending", "lost", "metadata_too_large", "no_addresses", "of_breach"]
__all__ += ["overloaded", "progress_of", "retry_after", "too_large", "unavailable"]
__all__ += ["WholeRequest", "unavailable_text", "unreachable", "unsendable_metadata"]

logger = logging.getLogger("gateway.upstream")
_LOG = logging.getLogger(__name__)

DETAILS = "grpc-status-details-bin"
PUSHBACK = "grpc-retry-pushback-ms"
PREVIOUS_ATTEMPTS = "grpc-previous-rpc-attempts"
"""The metadata with the number of earlier attempts of a call that was repeated (gRFC A6)."""
# A constant, because looking up an enum member takes as long as a small function call.
_DEADLINE_EXCEEDED = Code.DEADLINE_EXCEEDED

_DEADLINE_WORDS = frozenset(
    {"deadline exceeded", "context deadline exceeded", "deadline%20exceeded"}
)
"""Messages with which gRPC libraries of back ends report our deadline, in lower case; grpc-js
escapes its message twice."""
LATE = "the call did not finish in time"


class BackendError(StatusError):
    """The status that the back end itself ended a call with.

    Its details are decoded only when they are read: most are only written as JSON, from the wire.
    """

    pushback_ms: str | None = None
    """The value of grpc-retry-pushback-ms (gRFC A6), as it was sent; None without one."""
    _details: Sequence[Any] = ()

    @property
    def details(self) -> Sequence[Any]:
        """The details of the failure."""
        if self.details_bytes:
            # From now on only the details count: whoever reads them may change them.
            self.details = _details(self.details_bytes)
        return self._details

    @details.setter
    def details(self, details: Sequence[Any]) -> None:
        """Replaces all details."""
        self._details, self.details_bytes = details, b""


def backend_error(code: int, message: str, metadata: Metadata, trailers: Metadata) -> BackendError:
    """The error a back end ended a call with.

    The code and message are those of the trailers; only details are taken from
    grpc-status-details-bin, and bytes that are not a google.rpc.Status are kept as one detail.
    """
    if code == _DEADLINE_EXCEEDED and message.lower() in _DEADLINE_WORDS:
        message = LATE
    details: bytes | None = None
    pushback_ms: str | None = None
    others: Metadata = []
    for entry in trailers:
        name, value = entry
        if name == DETAILS:
            if details is None and isinstance(value, bytes):
                details = value
        elif name == PUSHBACK:
            pushback_ms = str(value)
        else:
            others.append(entry)
    error = BackendError(Code.of(code), message, metadata=metadata, trailers=others)
    error.was_processed = True
    if details is not None:
        error.details_bytes = details
    if pushback_ms is not None:
        error.pushback_ms = pushback_ms
    return error


def _details(status: bytes) -> Sequence[Any]:
    try:
        details: list[Any] = status_pb2.Status.FromString(status).details[:]
    except DecodeError:
        return [Any(type_url="type.googleapis.com/google.rpc.Status", value=status)]
    return details


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


class Progress(StrEnum):
    """The progress of a failed call, as far as its channel can know."""

    UNSENT = "unsent"
    """It never left the gateway."""
    REFUSED = "refused"
    """The back end refused it before any processing (RFC 9113 section 8.7: REFUSED_STREAM, or a
    stream above the last one of a GOAWAY)."""
    SEEN = "seen"
    """The back end may have processed it."""


WholeRequest = bytes | Parts
"""One message, in parts if it is large; `isinstance(request, (bytes, list))` tells it from others:
that form alone is also narrowed in machine code."""
AnyRequest = WholeRequest | AsyncGenerator[bytes] | HeldRequest
"""The request of an attempt: of a new call, or held by the failure of another attempt."""


class Unprocessed(StatusError):  # noqa: N818 - reads as what happened
    """The back end is certain not to have processed the call.

    `may_repeat_here` is true if the same endpoint may take the call at once; where it is false,
    another endpoint may. `request` holds a streaming request that can be sent again: pass it to
    another `Http2Channel.call`, or stop it.
    """

    def __init__(
        self,
        code: Code,
        message: str,
        progress: Progress = Progress.UNSENT,
        *,
        may_repeat_here: bool = False,
        http_status: int | None = None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(code, message, http_status=http_status, headers=headers)
        self.progress = progress
        self.was_processed = False
        self.may_repeat_here = may_repeat_here
        self.request: HeldRequest | None = None

    @property
    def may_go_elsewhere(self) -> bool:
        """True if another endpoint may take the call: the failure does not lie in the call."""
        return self.code is Code.UNAVAILABLE


class Overloaded(Unprocessed):
    """A call to an upstream that has too many of them."""


class ConnectionLost(StatusError):  # noqa: N818 - reads as what happened
    """The connection ended after the call was sent: the back end may have processed it."""


class LateAttempt(StatusError):  # noqa: N818 - reads as what happened
    """An attempt that took longer than one may, while the call still has time."""

    def __init__(self) -> None:
        super().__init__(Code.DEADLINE_EXCEEDED, LATE)


def progress_of(error: BaseException) -> Progress:
    """The progress of the call that failed with `error`; `SEEN` if nothing is known."""
    return error.progress if isinstance(error, Unprocessed) else Progress.SEEN


def lost(upstream: str, progress: Progress) -> Unprocessed:
    """A call whose connection ended, or whose stream was refused, before it was processed."""
    text, headers = unavailable_text(upstream), retry_after()
    return Unprocessed(Code.UNAVAILABLE, text, progress, may_repeat_here=True, headers=headers)


def connection_lost(upstream: str) -> ConnectionLost:
    """A call whose connection ended before its answer."""
    return ConnectionLost(Code.UNAVAILABLE, unavailable_text(upstream), headers=retry_after())


def no_addresses(upstream: str) -> Unprocessed:
    """A call to an upstream whose name has no addresses."""
    text = f'upstream "{upstream}" has no addresses'
    return Unprocessed(Code.UNAVAILABLE, text, headers=retry_after())


def unreachable(upstream: str, retry_after_s: float = 1.0) -> Unprocessed:
    """A call that found no connection; another try may succeed after so many seconds."""
    text, headers = unavailable_text(upstream), retry_after(retry_after_s)
    return Unprocessed(Code.UNAVAILABLE, text, headers=headers)


def overloaded(upstream: str, text: str) -> Unprocessed:
    """A call to an upstream that has too many of them; programs know it by its reason."""
    error = Overloaded(Code.UNAVAILABLE, text, headers=retry_after())
    detail = Any()
    info = {"upstream": upstream}
    detail.Pack(ErrorInfo(reason="UPSTREAM_OVERLOADED", domain="gatewayapi.v1", metadata=info))
    error.details = [detail]
    return error


def late_before_sending() -> Unprocessed:
    """A call whose time was up before a connection was free."""
    return Unprocessed(Code.DEADLINE_EXCEEDED, LATE)


def unsendable_metadata(upstream: str, reason: str) -> Unprocessed:
    """A call with metadata that gRPC cannot carry; a line in the log says which.

    Only interceptors can add such: what clients send is checked before. `reason` shows no values.
    """
    extra = about("gateway.upstream.metadata_invalid", gateway__upstream=upstream)
    _LOG.error("a call to upstream %s was not sent: %s", upstream, reason, extra=extra)
    return Unprocessed(Code.INTERNAL, f"metadata cannot be sent: {reason}")


def metadata_too_large(limit_bytes: int) -> Unprocessed:
    """A call with more metadata than its back end takes."""
    text = f"the headers are larger than the {limit_bytes} bytes that the back end takes"
    return Unprocessed(Code.RESOURCE_EXHAUSTED, text, http_status=431)
