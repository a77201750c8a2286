"""Authentication errors and their challenges (RFC 6750 section 3)."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from google.protobuf.any_pb2 import Any
from google.rpc.error_details_pb2 import RetryInfo

from gateway.status import Code, StatusError, invalid_argument

_RETRY_AFTER_S = 1
# A constant, because a look-up of an enum member takes as long as a small function call.
_UNAUTHENTICATED = Code.UNAUTHENTICATED


@dataclass(frozen=True, slots=True)
class Challenge:
    """The challenge that asks a client for one kind of credential."""

    scheme: str
    """The value of WWW-Authenticate (RFC 9110 section 11.6.1)."""
    wanted: str
    """The credential to send, in words."""
    header: str = ""
    """The header that carries it; empty if it comes with the connection."""


BEARER = Challenge("Bearer", "Authorization: Bearer", "Authorization")


def unauthenticated(message: str, *, error: str = "invalid_token") -> StatusError:
    """The error for an invalid credential; `message` says why, and never quotes it."""
    challenge = f'Bearer error="{error}", error_description="{message}"'
    return StatusError(Code.UNAUTHENTICATED, message, headers=[("WWW-Authenticate", challenge)])


def unclear(message: str) -> StatusError:
    """The error for credentials that are misplaced or repeated.

    RFC 6750 section 3.1 calls it invalid_request; `message` never quotes them.
    """
    error = invalid_argument("", message)
    challenge = f'Bearer error="invalid_request", error_description="{message}"'
    error.headers = [("WWW-Authenticate", challenge)]
    return error


def no_credential(challenges: Iterable[Challenge]) -> Callable[[], StatusError]:
    """Makes the errors for callers that sent none of the accepted credentials.

    They name no error code, as RFC 6750 section 3.1 requires.
    """
    asked = dict.fromkeys(challenges) or {BEARER: None}  # RFC 9110 section 15.5.2: at least one
    message = f"this needs a credential; send {' or '.join(one.wanted for one in asked)}"
    headers = [("WWW-Authenticate", one.scheme) for one in asked]
    return lambda: StatusError(_UNAUTHENTICATED, message, headers=headers.copy())


def cannot_check() -> StatusError:
    """The error while credentials cannot be checked: an unchecked one is never accepted."""
    detail = Any()
    retry = RetryInfo()
    retry.retry_delay.seconds = _RETRY_AFTER_S
    detail.Pack(retry)
    return StatusError(
        Code.UNAVAILABLE, "credentials cannot be checked at the moment", details=[detail]
    )
