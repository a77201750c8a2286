"""What whoever shows no credential, or a bad one, is told (RFC 6750 section 3)."""

from google.protobuf.any_pb2 import Any
from google.rpc.error_details_pb2 import RetryInfo

from gateway.status import Code, StatusError

_RETRY_AFTER_S = 1


def unauthenticated(message: str, *, error: str = "invalid_token") -> StatusError:
    """The refusal of a credential; `message` says what is wrong with it, and never what it was."""
    challenge = f'Bearer error="{error}", error_description="{message}"'
    return StatusError(Code.UNAUTHENTICATED, message, headers=[("WWW-Authenticate", challenge)])


def no_credential() -> StatusError:
    """The refusal of whoever shows none, which RFC 6750 section 3.1 wants to name no error."""
    return StatusError(
        Code.UNAUTHENTICATED,
        "this needs a credential; send Authorization: Bearer",
        headers=[("WWW-Authenticate", "Bearer")],
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
