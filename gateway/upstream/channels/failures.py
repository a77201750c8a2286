"""The progress of calls that failed, from which others decide if a call may be sent again."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from enum import StrEnum

from google.protobuf.any_pb2 import Any
from google.rpc.error_details_pb2 import ErrorInfo

from gateway.status import Code, StatusError
from gateway.telemetry.event import about
from gateway.upstream.channels.status_details import LATE, retry_after, unavailable_text

_LOG = logging.getLogger(__name__)


class Progress(StrEnum):
    """The progress of a failed call, as far as its channel can know."""

    UNSENT = "unsent"
    """It never left the gateway."""
    REFUSED = "refused"
    """The back end refused it before any processing (RFC 9113 section 8.7: REFUSED_STREAM, or a
    stream above the last one of a GOAWAY)."""
    SEEN = "seen"
    """The back end may have processed it."""


class HeldRequest(ABC):
    """A streaming request that can be sent again from its start, by another call."""

    @abstractmethod
    async def stop(self) -> None:
        """Drops the request: takes no further message of it, and returns once that is done."""


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
