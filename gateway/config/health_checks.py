"""Settings of health checks of endpoints."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from gateway.config.sections import Seconds, Section

HttpStatus = Annotated[int, Field(ge=100, le=599)]
Times = Annotated[int, Field(ge=1, le=100)]


class HealthCheckKind(StrEnum):
    """The protocol of a health check."""

    GRPC = "grpc"
    HTTP = "http"
    TCP = "tcp"


class HealthCheckOptions(Section):
    """Asks endpoints if they are well, by `grpc.health.v1.Health`, by HTTP, or by connecting."""

    kind: HealthCheckKind = HealthCheckKind.GRPC
    """grpc: `grpc.health.v1.Health` on the connection of the calls; http: GET, on a connection of
    its own; tcp: such a connection alone, without TLS."""
    http2: bool = False
    """With `kind: http`, ask over HTTP/2, and without TLS as a server that is known to speak it;
    else over HTTP/1.1."""
    tls: bool | None = None
    """With `kind: http`, use the `tls` of the upstream; unset for as the calls do on their port,
    and without on another."""
    path: Annotated[str, Field(pattern=r"^/[!-~]*$", max_length=1001)] = "/"
    """With `kind: http`, what is asked for."""
    port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    """With `kind: http` or `tcp`, the port for the checks; unset for that of the calls."""
    expect: Annotated[tuple[HttpStatus, ...], Field(min_length=1, max_length=100)] = (200,)
    """With `kind: http`, the statuses of an endpoint that is well. Others of 500 and more count at
    once, the rest to `unhealthy`."""
    service: Annotated[str, Field(max_length=1000)] = ""
    """The service that is asked for; empty for the server as a whole."""
    watch: bool = True
    """Let endpoints report changes by `Watch`, and ask again and again by `Check` only those that
    do not know it; false to ask all by `Check`."""
    interval_s: Seconds = 10.0
    """Seconds between two checks, 15 % more or less."""
    quiet_interval_s: Seconds = 60.0
    """The same while the endpoint had no call for this time, if it is longer than `interval_s`."""
    timeout_s: Seconds = 2.0
    """Seconds without an answer after which a check has failed."""
    unhealthy: Times = 3
    """Failed checks in a row after which an endpoint is unhealthy. The first check counts at once,
    and so does what `Watch` reports."""
    healthy: Times = 2
    """Passed checks in a row after which it is healthy again."""

    @property
    def by_grpc(self) -> bool:
        """True if endpoints are asked on the connection of the calls."""
        return self.kind is HealthCheckKind.GRPC

    @property
    def by_tls(self) -> bool:
        """True if checks use TLS where the upstream does."""
        if self.kind is not HealthCheckKind.HTTP:
            return False
        return self.port is None if self.tls is None else self.tls

    @model_validator(mode="after")
    def _of_its_kind(self) -> Self:
        for kinds, names in _OF_KINDS:
            for name in names:
                if self.kind not in kinds and name in self.model_fields_set:
                    raise ValueError(f"{name}: has no effect with kind: {self.kind}")
        return self


_OF_KINDS = (
    ((HealthCheckKind.GRPC,), ("service", "watch")),
    ((HealthCheckKind.HTTP,), ("path", "expect", "http2", "tls")),
    ((HealthCheckKind.HTTP, HealthCheckKind.TCP), ("port",)),
)
"""The settings that only some kinds use."""
