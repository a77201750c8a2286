"""The failures of back ends, as callers of a method with stored replies get them."""

from typing import Final

from gateway.status import Code, StatusError

# A reply that is stale is better than one of these (RFC 5861 section 4).
SERVER_FAILURES: Final = frozenset(
    {Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.INTERNAL, Code.UNKNOWN, Code.DATA_LOSS}
)
# A failure that all who wait for a call get: it does not depend on who asked.
_SHARED_FAILURES: Final = SERVER_FAILURES | {Code.NOT_FOUND}


def is_for_all(error: StatusError) -> bool:
    """True if all who wait get this failure: it neither depends on who asks nor sets a cookie."""
    return error.code in _SHARED_FAILURES and not any(
        name == "set-cookie" for name, _ in [*error.metadata, *error.trailers]
    )


def copied(error: StatusError) -> StatusError:
    """Returns an equal failure, which the stages that it passes may change."""
    return StatusError(
        error.code,
        error.message,
        details=error.details,
        http_status=error.http_status,
        headers=error.headers,
        metadata=list(error.metadata),
        trailers=list(error.trailers),
    )


def unconfirmed(error: StatusError) -> StatusError:
    """Returns the failure to reach a back end that must confirm a stored reply.

    Its status is 504 (RFC 9111 section 5.2.2.2), unless the back end itself gave another.
    """
    if error.code is not Code.UNAVAILABLE or error.was_processed:
        return error
    failure = copied(error)
    failure.http_status = 504
    failure.attempts, failure.was_processed = error.attempts, error.was_processed
    return failure
