"""Settings of health checks of endpoints."""

from typing import Annotated

from pydantic import Field

from gateway.config.sections import Seconds, Section

Times = Annotated[int, Field(ge=1, le=100)]


class HealthCheckOptions(Section):
    """Asks endpoints if they are well, by `grpc.health.v1.Health`."""

    service: Annotated[str, Field(max_length=1000)] = ""
    """The service that is asked for; empty for the server as a whole."""
    watch: bool = True
    """Let endpoints report changes by `Watch`, and ask again and again by `Check` only those that
    do not know it; false to ask all by `Check`."""
    interval_s: Seconds = 10.0
    """Seconds between two checks, 15 % more or less."""
    timeout_s: Seconds = 2.0
    """Seconds without an answer after which a check has failed."""
    unhealthy: Times = 3
    """Failed checks in a row after which an endpoint is unhealthy. The first check counts at once,
    and so does what `Watch` reports."""
    healthy: Times = 2
    """Passed checks in a row after which it is healthy again."""
