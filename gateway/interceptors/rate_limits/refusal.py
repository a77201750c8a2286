"""What callers are told of rate limits: in every response, and when they have reached one.

`RateLimit` and `RateLimit-Policy` follow draft-ietf-httpapi-ratelimit-headers-10, in the syntax of
structured fields (RFC 9651).
"""

from collections.abc import Sequence
from math import ceil

from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo, QuotaFailure, RetryInfo

from gateway.interceptors.rate_limits.rules import RateRule
from gateway.schema.catalog import Method
from gateway.status import Code, StatusError
from gateway.stores.base import Taken

DOMAIN = "gatewayapi.v1"
"""Whose reasons they are (google.rpc.ErrorInfo)."""

# Less than a network needs, and more than floating point is off by: 11 s are not to be told as 12.
_NOTHING_S = 1e-6


class Quotas:
    """The two header fields for the limits of one method."""

    def __init__(self, rules: Sequence[RateRule]) -> None:
        self._labels = [_string(rule.label) for rule in rules]
        policies = [label + _policy(rule) for label, rule in zip(self._labels, rules, strict=True)]
        self._policy = ("RateLimit-Policy", ", ".join(policies))

    def headers(self, taken: Sequence[Taken]) -> tuple[tuple[str, str], tuple[str, str]]:
        """The fields of one response: what there is of each limit, and for how long."""
        left = map(_left, self._labels, taken)
        return self._policy, ("RateLimit", ", ".join(left))

    def headers_of_one(self, taken: Taken) -> tuple[tuple[str, str], tuple[str, str]]:
        """`headers`, where there is one limit."""
        return self._policy, ("RateLimit", _left(self._labels[0], taken))


def _policy(rule: RateRule) -> str:
    window_s = rule.limit.window_s
    # Windows are whole seconds there; what is none is left unsaid.
    window = f";w={int(window_s)}" if window_s == int(window_s) else ""
    return f";q={rule.limit.limit}{window}"


def _left(label: str, taken: Taken) -> str:
    allowed, remaining, retry_after_s, reset_after_s = taken
    # Section 4.2: where there is a Retry-After too, both name the same point in time.
    after_s = reset_after_s if allowed else retry_after_s
    return f"{label};r={remaining};t={ceil(after_s - _NOTHING_S)}"


def _string(text: str) -> str:
    """A string of RFC 9651 section 3.3.3, which holds printable ASCII."""
    printable = "".join(c if " " <= c <= "~" else "?" for c in text)
    return '"' + printable.replace("\\", "\\\\").replace('"', '\\"') + '"'


def limit_reached(
    method: Method, rules: Sequence[RateRule], keys: Sequence[str], taken: Sequence[Taken]
) -> StatusError:
    """The refusal of a call for which there was too little in some of `taken`."""
    reached = [one for one in zip(rules, keys, taken, strict=True) if not one[2].allowed]
    wait_s = max(one.retry_after_s for *_, one in reached)
    failure = QuotaFailure()
    for rule, key, _ in reached:
        limit = rule.limit
        failure.violations.add(
            subject=rule.subject_of(key),
            description=f"{rule.label}: {limit.limit} in {limit.window_s:g} s",
            quota_id=rule.label,
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
    """The answer while nobody can count, where that is not to mean that anything goes."""
    return StatusError(
        Code.UNAVAILABLE,
        "rate limits cannot be checked at the moment",
        details=_packed(_error_info("RATE_LIMITS_UNAVAILABLE", {}), _retry(1.0)),
    )


def too_many_at_once(method: Method, most: int) -> StatusError:
    """The refusal of a call while `most` others of its method are under way."""
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
