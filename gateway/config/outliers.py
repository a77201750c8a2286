"""Settings of outlier detection: which endpoints are left out because their calls fail.

The options and their defaults are those of gRFC A50, with seconds instead of durations. Where
nothing is set, only failures in a row count, and for short times.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from gateway.config.sections import Seconds, Section

Percent = Annotated[int, Field(ge=0, le=100)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]


class FailureCode(StrEnum):
    """A status of a back end that may be its fault."""

    UNKNOWN = "UNKNOWN"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    INTERNAL = "INTERNAL"
    UNAVAILABLE = "UNAVAILABLE"
    DATA_LOSS = "DATA_LOSS"


class SuccessRateEjection(Section):
    """Ejects endpoints with a lower rate of successes than the others."""

    stdev_factor: Annotated[int, Field(ge=0, le=1_000_000)] = 1900
    """Thousandths of a standard deviation below the mean rate, from which an endpoint is
    ejected."""
    enforcement_percentage: Percent = 100
    """The percentage of found outliers that are ejected."""
    minimum_hosts: Count = 5
    """The least number of endpoints with `request_volume` calls; with fewer, none is judged."""
    request_volume: Count = 100
    """The least number of calls in an interval for which an endpoint is judged."""


class FailurePercentageEjection(Section):
    """Ejects endpoints with a high percentage of failures."""

    threshold: Percent = 85
    """The percentage of failures from which an endpoint is ejected."""
    enforcement_percentage: Percent = 100
    """The percentage of found outliers that are ejected."""
    minimum_hosts: Count = 5
    """The least number of endpoints with `request_volume` calls; with fewer, none is judged."""
    request_volume: Count = 50
    """The least number of calls in an interval for which an endpoint is judged."""


class OutlierOptions(Section):
    """The rules by which an endpoint whose calls fail gets no calls for a time (gRFC A50)."""

    consecutive: Count | None = 5
    """Failures in a row after which an endpoint is ejected at once; null for never."""
    interval_s: Seconds = 10.0
    """Seconds between two sweeps, which judge the calls since the last one and restore
    endpoints."""
    base_ejection_time_s: Seconds = 30.0
    """Seconds of the first ejection; the second takes twice as long, and so on."""
    max_ejection_time_s: Seconds = 300.0
    """The longest ejection, or `base_ejection_time_s` if that is longer."""
    max_ejection_percent: Percent = 10
    """The percentage of ejected endpoints from which no more are ejected. The first may always be
    ejected unless this is 0, and the last one never is."""
    success_rate_ejection: SuccessRateEjection | None = None
    """Compare the endpoints; `{}` for the defaults, unset for no."""
    failure_percentage_ejection: FailurePercentageEjection | None = None
    """Judge each endpoint by itself; `{}` for the defaults, unset for no."""
    codes: tuple[FailureCode, ...] = (FailureCode.UNAVAILABLE, FailureCode.DEADLINE_EXCEEDED)
    """The statuses of back ends that are failures, besides lost connections and broken replies.
    Others, such as INTERNAL, can be caused by what a client sends."""
    min_deadline_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    """DEADLINE_EXCEEDED is a failure only of calls that had this time or more, so that clients with
    short deadlines eject no endpoint."""


IN_A_ROW = OutlierOptions(interval_s=1.0, base_ejection_time_s=3.0, max_ejection_time_s=8.0)
"""The rules without a setting: an endpoint that fails all its calls is left out. The times are
short, so that one that is well again gets calls within 10 s, without an operator."""
