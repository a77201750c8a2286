"""The rate limit headers of responses, and the errors of calls that exceed a limit.

`RateLimit` and `RateLimit-Policy` follow draft-ietf-httpapi-ratelimit-headers-10, in the syntax of
structured fields (RFC 9651).
"""

from collections.abc import Callable, Sequence
from math import ceil
from typing import Final

from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo, QuotaFailure, RetryInfo

from gateway.call import Call, Code, Method, StatusError
from gateway.interceptors.rate_limits.rules import Counters
from gateway.stores.taken import Taken

Refuse = Callable[[Call, Sequence[str], Sequence[Taken]], None]
"""Raises the error of a call that exceeds a limit, with the keys and results of all its limits."""

DOMAIN = "gatewayapi.v1"
"""The domain of the error reasons (google.rpc.ErrorInfo)."""

# More than the error of floating point and less than a network needs: 11 s must not become 12.
_NOTHING_S: Final = 1e-6
_MOST_ENDS: Final = 61
_ENDS: Final = [f";t={seconds}" for seconds in range(_MOST_ENDS)]
"""The ends of the fields of the usual windows, which are a minute at most."""


class Quotas:
    """The two header fields for the limits of one method."""

    def __init__(self, limits: Sequence[Counters]) -> None:
        labels = [_string(one.label) for one in limits]
        self._starts = [f"{label};r=" for label in labels]
        policies = [label + _policy(one) for label, one in zip(labels, limits, strict=True)]
        self._policy = ("RateLimit-Policy", ", ".join(policies))

    def headers(self, taken: Sequence[Taken]) -> tuple[tuple[str, str], tuple[str, str]]:
        """Returns the fields of one response: the rest of each limit, and the time to its reset."""
        left = map(_left, self._starts, taken)
        return self._policy, ("RateLimit", ", ".join(left))

    def state_one(self, taken: Taken, headers: list[tuple[str, str]]) -> None:
        """Adds the same as `headers` returns for a method with one limit."""
        headers.append(self._policy)
        headers.append(("RateLimit", _left(self._starts[0], taken)))


def _policy(one: Counters) -> str:
    window_s = one.limit.window_s
    # Windows are whole seconds in this syntax; other windows are left out.
    window = f";w={int(window_s)}" if window_s == int(window_s) else ""
    return f";q={one.limit.limit}{window}"


def _left(start: str, taken: Taken) -> str:
    # Section 4.2: a Retry-After in the same response must name the same point in time.
    after_s = taken.reset_after_s if taken.allowed else taken.retry_after_s
    # As machine code, `ceil` and an f-string cost more than the rest of this function.
    least_s = after_s - _NOTHING_S
    seconds = int(least_s)
    if seconds < least_s:
        seconds += 1
    end = _ENDS[seconds] if 0 <= seconds < _MOST_ENDS else f";t={seconds}"
    return "".join((start, str(taken.remaining), end))


def _string(text: str) -> str:
    """Formats a string of RFC 9651 section 3.3.3, which holds printable ASCII."""
    printable = "".join(c if " " <= c <= "~" else "?" for c in text)
    return '"' + printable.replace("\\", "\\\\").replace('"', '\\"') + '"'


def limit_reached(
    method: Method, limits: Sequence[Counters], keys: Sequence[str], taken: Sequence[Taken]
) -> StatusError:
    """Returns the error of a call that at least one of `taken` refused."""
    reached = [one for one in zip(limits, keys, taken, strict=True) if not one[2].allowed]
    wait_s = max(one.retry_after_s for *_, one in reached)
    failure = QuotaFailure()
    for one, key, _ in reached:
        limit = one.limit
        failure.violations.add(
            subject=one.subject_of(key),
            description=f"{one.label}: {limit.limit} in {limit.window_s:g} s",
            quota_id=one.label,
            quota_value=limit.limit,
        )
    label = reached[0][0].label
    info = {"limit": label, "service": method.service, "method": method.name}
    seconds = max(1, ceil(wait_s - _NOTHING_S))
    return StatusError(
        Code.RESOURCE_EXHAUSTED,
        f"too many calls: the limit {label} is reached; try again in {seconds} s",
        details=_packed(failure, _error_info("RATE_LIMIT_EXCEEDED", info), _retry(wait_s)),
    )


def cannot_count() -> StatusError:
    """Returns the error while the store is unavailable, for `on_store_failure: closed`."""
    return StatusError(
        Code.UNAVAILABLE,
        "rate limits cannot be checked at the moment",
        details=_packed(_error_info("RATE_LIMITS_UNAVAILABLE", {}), _retry(1.0)),
    )


def too_many_at_once(method: Method, most: int) -> StatusError:
    """Returns the error of a call while `most` others of its method are under way."""
    info = {"limit": str(most), "service": method.service, "method": method.name}
    return StatusError(
        Code.UNAVAILABLE,
        f"{method.name} is busy: {most} calls are under way, and no more are let through at once",
        details=_packed(_error_info("CONCURRENCY_LIMIT_EXCEEDED", info), _retry(1.0)),
    )


def _error_info(reason: str, metadata: dict[str, str]) -> ErrorInfo:
    return ErrorInfo(reason=reason, domain=DOMAIN, metadata=metadata)


def _retry(wait_s: float) -> RetryInfo:
    retry = RetryInfo()
    retry.retry_delay.FromMilliseconds(max(1, ceil((wait_s - _NOTHING_S) * 1000)))
    return retry


def _packed(*messages: Message) -> list[Any]:
    details = []
    for message in messages:
        detail = Any()
        detail.Pack(message)
        details.append(detail)
    return details
