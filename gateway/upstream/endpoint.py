"""The `Endpoint`: one server of an upstream, and the interface of what finds them."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One server of an upstream, that serves the same as the others."""

    addresses: tuple[str, ...]
    """The address: `host:port`, `[v6]:port` or `unix:/path`. Several are of one server
    (gRFC A61), and the first that answers is used."""
    weight: int = 1
    """Its share of the calls, in proportion to the weights of the others; at least 1."""
    priority: int = 0
    """Its level: those with higher numbers get only calls that lower ones cannot take."""
    zone: str = ""
    """Where it runs, in the words of the gateway's own zone; empty if that is not known."""

    def __str__(self) -> str:
        return self.addresses[0]


class Resolver(Protocol):
    """Finds the endpoints of one upstream; asked again and again."""

    async def resolve(self) -> Sequence[Endpoint]:
        """The endpoints at this time; empty if there is none. Their order has no meaning, except
        for `pick_first`.

        Raises:
            OSError: they cannot be found now; the last ones stay in use.
        """
        ...


class HealthCheck(Protocol):
    """Finds out whether endpoints of one upstream are well; asked while they are connected."""

    async def check(self, endpoint: Endpoint) -> str:
        """Returns the reason why `endpoint` is not well; empty if it is. It is cancelled after
        `health.timeout_s`.

        Raises:
            OSError: that cannot be found out now, which counts as a failed check.
        """
        ...


class Waiting(Protocol):
    """Calls wait behind others, if at all, while one of these numbers is not 0."""

    count: int
    """The calls that wait for a connection with room, to all members together."""
    at_limit: int
    """The members that have as many connections as they may."""


class State(StrEnum):
    """The state of an endpoint (gRPC's connectivity semantics and API)."""

    IDLE = "idle"
    """Not connected, and not connecting."""
    CONNECTING = "connecting"
    """Connecting, after no failure."""
    READY = "ready"
    """Connected."""
    FAILING = "failing"
    """It could not be connected to, and has not been since (sticky, as in gRFC A62)."""
    EJECTED = "ejected"
    """Connected, but left out for a time, because its calls failed (gRFC A50)."""
    UNHEALTHY = "unhealthy"
    """Connected, but left out, because a health check says so."""
