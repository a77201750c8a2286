"""Settings of the drain: the time from SIGTERM to the end of the process."""

from typing import Annotated

from pydantic import Field

from gateway.config.sections import Section

_Wait = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class DrainOptions(Section):
    """The times of the drain that SIGTERM and SIGINT start; a second signal ends it at once."""

    delay_s: _Wait = 0.0
    """The time in which the gateway says that it is not ready and still accepts connections, so
    that load balancers stop choosing it."""
    idle_s: _Wait = 5.0
    """A kept connection without a request is closed after this time; the answer to a request that
    comes before is its last. All times from here on start when no more connections are accepted."""
    streams_s: _Wait = 20.0
    """Streams that are still open after this time end with their error record, UNAVAILABLE."""
    grace_s: _Wait = 25.0
    """Requests that are still in progress after this time are answered with 503; no other time of
    the drain is longer."""
