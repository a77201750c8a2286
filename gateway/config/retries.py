"""Settings of repeated calls, in the words of gRFC A6."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from gateway.config.sections import Seconds, Section


class Retries(StrEnum):
    """The calls that are sent again although a back end may have seen them."""

    SAFE = "safe"
    OFF = "off"


class RetryCode(StrEnum):
    """A status after which another attempt may succeed."""

    CANCELLED = "CANCELLED"
    UNKNOWN = "UNKNOWN"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    ABORTED = "ABORTED"
    INTERNAL = "INTERNAL"
    UNAVAILABLE = "UNAVAILABLE"
    DATA_LOSS = "DATA_LOSS"


class RepeatedVerb(StrEnum):
    """An HTTP method that means the same when it is done twice (RFC 9110 section 9.2.2)."""

    PUT = "PUT"
    DELETE = "DELETE"


class RetryThrottling(Section):
    """Stops repeats while too many calls of an upstream fail (gRFC A6)."""

    max_tokens: Annotated[int, Field(ge=1, le=1000)]
    """The tokens at start, and the most. A failed attempt takes one; with half or fewer left, no
    call is repeated."""
    token_ratio: Annotated[float, Field(ge=0.001, le=1000)]
    """The tokens that a successful call gives back; thousandths count."""


class RetryPolicy(Section):
    """The rules by which calls that may be repeated are repeated (gRFC A6)."""

    max_attempts: Annotated[int, Field(ge=2, le=5)] = 2
    """The most attempts of one call, the first included."""
    initial_backoff_s: Seconds = 0.025
    """Seconds before the second attempt, 20 % more or less."""
    max_backoff_s: Seconds = 0.25
    """The longest pause between two attempts; a back end may ask for a longer one."""
    backoff_multiplier: Annotated[float, Field(gt=0, le=100)] = 2.0
    """The factor from each pause to the next."""
    retryable_status_codes: Annotated[tuple[RetryCode, ...], Field(min_length=1)] = (
        RetryCode.UNAVAILABLE,
        RetryCode.CANCELLED,
    )
    """The statuses after which a call is repeated; servers of gRPC's C core answer CANCELLED to
    calls that arrive just as they begin to stop."""
    verbs: tuple[RepeatedVerb, ...] = ()
    """Repeat also methods without `idempotency_level` all of whose HTTP rules have one of these
    HTTP methods, or are GET without a body: only if calls of them may really be done twice."""
    budget_percent: Annotated[int, Field(ge=0, le=100)] = 20
    """Repeated calls under way, as the largest percentage of all calls under way; others fail with
    their first status."""
    budget_min: Annotated[int, Field(ge=0, le=10_000)] = 5
    """Repeated calls under way that are always allowed; with `outlier.consecutive` or more, none
    fails for want of them before an endpoint that fails all its calls is left out."""
    per_try_s: Seconds | None = None
    """Seconds for each attempt, within the deadline of the call; one that takes longer is given up,
    and repeated like any other. Unset for no limit; not for replies that stream."""

    @model_validator(mode="after")
    def _growing(self) -> Self:
        if self.max_backoff_s < self.initial_backoff_s:
            raise ValueError("max_backoff_s: expected initial_backoff_s or more")
        return self


class HedgingPolicy(Section):
    """The rules by which calls are sent to several endpoints; the first answer counts (gRFC A6).

    Only calls with one request message, of methods whose `idempotency_level` is NO_SIDE_EFFECTS or
    IDEMPOTENT.
    """

    max_attempts: Annotated[int, Field(ge=2, le=5)] = 2
    """The most attempts of one call, the first included; each at another endpoint."""
    hedging_delay_s: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    """Seconds without an answer after which the next attempt begins; 0 for all at once."""
    non_fatal_status_codes: tuple[RetryCode, ...] = (RetryCode.UNAVAILABLE, RetryCode.CANCELLED)
    """The statuses after which the other attempts go on, and the next begins at once; any other
    status is the answer."""
    budget_percent: Annotated[int, Field(ge=0, le=100)] = 20
    """Attempts under way that are not the first of their call, as the largest percentage of all
    calls under way; other calls get no second one."""
    budget_min: Annotated[int, Field(ge=0, le=10_000)] = 5
    """Such attempts that are always allowed."""
