"""The interface of all authenticators, and their errors with challenges (RFC 6750 section 3)."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from google.protobuf.any_pb2 import Any
from google.rpc.error_details_pb2 import RetryInfo

from gateway.call import Call, Principal
from gateway.status import Code, RefusedAlike, StartUpError, StatusError, invalid_argument

__all__ = ["Principal", "StatusError"]
__all__ += ["BEARER", "MUST_ASK", "AuthError", "Authenticator", "Challenge", "MustAsk"]
__all__ += ["cannot_check", "no_credential", "unauthenticated", "unclear"]

_RETRY_AFTER_S = 1


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


def no_credential(challenges: Iterable[Challenge]) -> RefusedAlike:
    """The refusal of callers that sent none of the accepted credentials.

    It names no error code, as RFC 6750 section 3.1 requires.
    """
    asked = dict.fromkeys(challenges) or {BEARER: None}  # RFC 9110 section 15.5.2: at least one
    message = f"this needs a credential; send {' or '.join(one.wanted for one in asked)}"
    headers = [("WWW-Authenticate", one.scheme) for one in asked]
    return RefusedAlike(Code.UNAUTHENTICATED, message, headers)


def cannot_check() -> StatusError:
    """The error while credentials cannot be checked: an unchecked one is never accepted."""
    detail = Any()
    retry = RetryInfo()
    retry.retry_delay.seconds = _RETRY_AFTER_S
    detail.Pack(retry)
    return StatusError(
        Code.UNAVAILABLE, "credentials cannot be checked at the moment", details=[detail]
    )


class AuthError(StartUpError):
    """Authentication cannot be set up as configured; the message says what is wrong, and where."""


class MustAsk(Enum):
    """The result of `recall` if a credential was sent that only `authenticate` can check."""

    MUST_ASK = True


MUST_ASK = MustAsk.MUST_ASK


class Authenticator(Protocol):
    """Maps credentials of one kind to principals."""

    @property
    def kind(self) -> str:
        """The kind of credential, for the metrics and the audit trail."""
        ...

    @property
    def challenge(self) -> Challenge:
        """The challenge that asks clients for this kind of credential."""
        ...

    def recall(self, call: Call, shown: str | None, /) -> Principal | MustAsk | None:
        """Like `authenticate`, from memory: answers without waiting, as most calls need.

        `shown` is the value of `Authorization`, which is looked up once for all kinds. Returns
        MUST_ASK if that needs a wait, or if the credential may be invalid; raises nothing.
        """
        ...

    async def authenticate(self, call: Call) -> Principal | None:
        """Returns the principal of the call's credential, or None without one of this kind.

        Raises:
            StatusError: UNAUTHENTICATED for an invalid credential; UNAVAILABLE, with a
                RetryInfo, while it cannot be checked.
        """
        ...
