"""Refuses changes under a condition that nobody evaluates (RFC 9110 section 13.1.1).

A client that sends `If-Match` wants no change of what it has not seen. A method whose request has
no etag cannot tell its back end, so without this the change would be made all the same.
"""

from collections.abc import Awaitable

from gateway.call import Call, Code, Handler, Reply, StatusError


def refuse_if_match(call: Call, proceed: Handler) -> Awaitable[Reply]:
    """Proceeds with a call whose request only reads, or has no `If-Match`.

    Raises:
        StatusError: FAILED_PRECONDITION, with HTTP status 412.
    """
    is_change = call.target[0] not in ("GET", "HEAD")
    if is_change and any(name.lower() == "if-match" for name in call.headers):
        raise StatusError(
            Code.FAILED_PRECONDITION,
            f"If-Match cannot be evaluated: a request of {call.method.name} has no etag",
            http_status=412,
        )
    return proceed(call)
