"""What whoever shows no credential, or a bad one, is told (RFC 6750 section 3)."""

from collections.abc import Iterable
from dataclasses import dataclass

from google.protobuf.any_pb2 import Any
from google.rpc.error_details_pb2 import RetryInfo

from gateway.status import Code, StatusError, invalid_argument

_RETRY_AFTER_S = 1


@dataclass(frozen=True, slots=True)
class Challenge:
    """How a kind of credential is asked for."""

    scheme: str
    """The value of WWW-Authenticate (RFC 9110 section 11.6.1)."""
    wanted: str
    """What is to be sent, in words."""
    header: str = ""
    """The header in which it comes; empty where it comes with the connection."""


BEARER = Challenge("Bearer", "Authorization: Bearer", "Authorization")


def unauthenticated(message: str, *, error: str = "invalid_token") -> StatusError:
    """The refusal of a credential; `message` says what is wrong with it, and never what it was."""
    challenge = f'Bearer error="{error}", error_description="{message}"'
    return StatusError(Code.UNAUTHENTICATED, message, headers=[("WWW-Authenticate", challenge)])


def unclear(message: str) -> StatusError:
    """The refusal of credentials that are not where, or as many as, they may be.

    RFC 6750 section 3.1 calls it invalid_request; `message` never says what they were.
    """
    error = invalid_argument("", message)
    challenge = f'Bearer error="invalid_request", error_description="{message}"'
    error.headers = [("WWW-Authenticate", challenge)]
    return error


def no_credential(challenges: Iterable[Challenge]) -> StatusError:
    """The refusal of whoever shows none of those that would do.

    RFC 6750 section 3.1 wants it to name no error.
    """
    asked = dict.fromkeys(challenges) or {BEARER: None}  # RFC 9110 section 15.5.2: at least one
    return StatusError(
        Code.UNAUTHENTICATED,
        f"this needs a credential; send {' or '.join(one.wanted for one in asked)}",
        headers=[("WWW-Authenticate", one.scheme) for one in asked],
    )


def cannot_check() -> StatusError:
    """The answer while nobody can tell whether a credential is good: it is not taken as good."""
    detail = Any()
    retry = RetryInfo()
    retry.retry_delay.seconds = _RETRY_AFTER_S
    detail.Pack(retry)
    return StatusError(
        Code.UNAVAILABLE, "credentials cannot be checked at the moment", details=[detail]
    )
