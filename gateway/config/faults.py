"""Settings of faults: calls that are made late or made to fail, to test how clients take it."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from gateway.config.codes import AbortCode
from gateway.config.sections import Percent, Section
from gateway.config.splits import ForMethods, SplitMatch


class FaultRule(ForMethods):
    """Calls of some methods that are made late, or made to fail (gRFC A33)."""

    match: Annotated[tuple[SplitMatch, ...], Field(max_length=20)] = ()
    """Only requests for which all of these are true."""
    delay_s: Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)] = 0.0
    """Seconds for which a call waits before it is sent or fails; never beyond its deadline. With
    `headers`, the longest delay that a client may choose."""
    delay_percent: Percent = 100.0
    """The share of calls that wait, by chance; with `headers`, the largest one."""
    abort: AbortCode | None = None
    """The code with which calls fail, without being sent; unset for none."""
    abort_http_status: Annotated[int, Field(ge=200, le=599)] | None = None
    """In place of `abort`: calls fail as if a proxy before the back end had sent this HTTP status,
    such as 503, which is UNAVAILABLE."""
    abort_percent: Percent = 100.0
    """The share of calls that fail, by chance, apart from `delay_percent`; with `headers`, the
    largest one."""
    headers: bool = False
    """Let the headers of a request choose its fault: `x-fault-delay-ms`, `x-fault-delay-percent`,
    `x-fault-abort`, `x-fault-abort-percent`. Needs a scope or a network in `match`."""
    max_active: Annotated[int, Field(gt=0, le=100_000)] = 100
    """The largest number of calls per worker that wait; others are not touched meanwhile."""

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        aborts = self.abort is not None or self.abort_http_status is not None
        if self.abort is not None and self.abort_http_status is not None:
            raise ValueError("abort_http_status: expected either it or abort, not both")
        if not self.headers:
            if not self.delay_s and not aborts:
                raise ValueError("expected delay_s or abort, such as abort: UNAVAILABLE")
            return self
        if aborts:
            raise ValueError("headers: has no effect with abort; remove one of them")
        if not any(one.has_no_value for one in self.match):
            raise ValueError(
                "headers: expected a scope or a network in match, such as match: [{network: "
                "10.0.0.0/8}], because other clients must not choose faults"
            )
        return self


class FaultOptions(Section):
    """Faults for tests of clients; never for production."""

    enabled: bool = False
    """Apply the rules; the log warns of it at start."""
    rules: Annotated[tuple[FaultRule, ...], Field(max_length=1000)] = ()
    """The faults; the first that selects a call, and matches it, decides."""
