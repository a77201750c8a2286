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
    """Seconds for which a call waits before it is sent or fails; never beyond its deadline."""
    delay_percent: Percent = 100.0
    """The share of calls that wait, by chance."""
    abort: AbortCode | None = None
    """The code with which calls fail, without being sent; unset for none."""
    abort_percent: Percent = 100.0
    """The share of calls that fail, by chance, apart from `delay_percent`."""
    max_active: Annotated[int, Field(gt=0, le=100_000)] = 100
    """The largest number of calls per worker that wait; others are not touched meanwhile."""

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if not self.delay_s and self.abort is None:
            raise ValueError("expected delay_s or abort, such as abort: UNAVAILABLE")
        return self


class FaultOptions(Section):
    """Faults for tests of clients; never for production."""

    enabled: bool = False
    """Apply the rules; the log warns of it at start."""
    rules: Annotated[tuple[FaultRule, ...], Field(max_length=1000)] = ()
    """The faults; the first that selects a call, and matches it, decides."""
