"""The kinds of failures of requests, in metrics and in spans."""

from typing import Final

from gateway.status import Code

# The codes of a back end or gateway that failed, as far as they are no fault of the client.
_FAILURES: Final = frozenset(
    [Code.UNKNOWN, Code.UNIMPLEMENTED, Code.INTERNAL, Code.UNAVAILABLE, Code.DATA_LOSS]
)


def error_type(status: int, code: Code) -> str:
    """Returns the value of OpenTelemetry's `error.type`; empty if the gateway did not fail."""
    if code is Code.DEADLINE_EXCEEDED:
        return "timeout"
    if code is Code.CANCELLED:
        return "cancelled"
    if status >= 500:
        return str(status)
    # A stream that failed after its head, which had the status 200 or 101.
    return code.name if code in _FAILURES and status < 400 else ""
