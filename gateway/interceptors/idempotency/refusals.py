"""The refusals of requests with idempotency keys, each with a reason for programs.

Statuses: draft-ietf-httpapi-idempotency-key-header-07 section 2.7.
"""

from collections.abc import Sequence
from typing import Final

from google.protobuf.any_pb2 import Any
from google.rpc.error_details_pb2 import ErrorInfo

from gateway.status import Code, StatusError

_DOMAIN: Final = "gatewayapi.v1"
_HEADER: Final = "Idempotency-Key"


def missing(docs_url: str) -> StatusError:
    """Returns the refusal of a request without the key that its method needs."""
    links = [("Link", f'<{docs_url}>; rel="describedby"')] if docs_url else ()
    return _refusal(
        Code.INVALID_ARGUMENT,
        "IDEMPOTENCY_KEY_MISSING",
        f'this method needs the header {_HEADER}, such as {_HEADER}: "8e03978e-40d5-43dd-bc93"',
        headers=links,
    )


def malformed() -> StatusError:
    """Returns the refusal of a header that holds no key."""
    return _refusal(
        Code.INVALID_ARGUMENT,
        "IDEMPOTENCY_KEY_INVALID",
        f"{_HEADER}: expected one key of 1 to 255 printable ASCII characters, in double quotes",
    )


def anonymous() -> StatusError:
    """Returns the refusal of a key from a caller without a credential."""
    return _refusal(
        Code.FAILED_PRECONDITION,
        "IDEMPOTENCY_KEY_ANONYMOUS",
        f"{_HEADER} is for callers with a credential: others would share their keys",
    )


def reused() -> StatusError:
    """Returns the refusal of another request with a key that is taken."""
    return _refusal(
        Code.FAILED_PRECONDITION,
        "IDEMPOTENCY_KEY_REUSED",
        f"this {_HEADER} was used for another request: use a new key for each",
        http_status=422,
    )


def in_progress() -> StatusError:
    """Returns the refusal of a request while the first one with its key is in progress."""
    return _refusal(
        Code.ABORTED,
        "IDEMPOTENCY_IN_PROGRESS",
        f"a request with this {_HEADER} is in progress: repeat this one later",
        headers=[("Retry-After", "1")],
    )


def outcome_unknown() -> StatusError:
    """Returns the refusal of a request whose first one may have been done or not."""
    return _refusal(
        Code.ABORTED,
        "IDEMPOTENCY_OUTCOME_UNKNOWN",
        f"the outcome of the request with this {_HEADER} is not known: find out if it was done, "
        "and if it was not, send it with a new key",
    )


def reply_too_large() -> StatusError:
    """Returns the refusal to repeat a reply that was not kept."""
    return _refusal(
        Code.ABORTED,
        "REPLY_TOO_LARGE",
        f"the request with this {_HEADER} was done, and its reply was too large to be kept",
    )


def store_failed() -> StatusError:
    """Returns the refusal of a request whose key cannot be looked up."""
    return _refusal(
        Code.UNAVAILABLE,
        "IDEMPOTENCY_STORE_UNAVAILABLE",
        f"the {_HEADER} cannot be looked up at the moment: nothing was done",
        headers=[("Retry-After", "1")],
    )


def _refusal(
    code: Code,
    reason: str,
    message: str,
    *,
    http_status: int | None = None,
    headers: Sequence[tuple[str, str]] = (),
) -> StatusError:
    detail = Any()
    detail.Pack(ErrorInfo(reason=reason, domain=_DOMAIN))
    return StatusError(code, message, details=[detail], http_status=http_status, headers=headers)
