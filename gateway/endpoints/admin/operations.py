"""The interface between the admin endpoints and the gateway that they show and change."""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.config.log import LogLevel
from gateway.telemetry.metrics.exposition import Exposition


@dataclass(frozen=True, slots=True)
class RouteRow:
    """One route, as text."""

    http_method: str
    path: str
    """The path template."""
    method: str
    """The full name of the RPC method."""


@dataclass(frozen=True, slots=True)
class WorkerState:
    """One process that serves."""

    number: int
    pid: int | None
    """None while no process runs in this place."""
    state: str
    """starting, serving, draining, hung or absent."""
    uptime_s: float
    failures: int
    """The number of ends in a row that came too early."""
    connections: int | None
    """The open connections of clients; None if the process did not say."""
    requests: int | None
    """The requests in progress; None if the process did not say."""


class Operations(Protocol):
    """A running gateway, as its operators see it."""

    url: str
    """The public URL; empty before it serves."""
    routes: Sequence[RouteRow]
    exposition: Exposition | None
    """The text of the metrics; None if they are off, or before the gateway serves."""
    is_draining: bool
    """True if the gateway is not ready: because it ends, or because an operator said so."""

    @property
    def level(self) -> LogLevel:
        """The log level in force."""
        ...

    def workers(self) -> Awaitable[Sequence[WorkerState]]:
        """Returns the state of every worker; one that hangs does not delay this."""
        ...

    def set_draining(self, *, is_draining: bool) -> None:
        """Makes the gateway not ready, or ready again; it goes on serving."""
        ...

    def set_level(self, level: LogLevel) -> None:
        """Changes the log level of every worker."""
        ...

    def why_not_live(self) -> str:
        """Returns the reason why the gateway must be restarted; empty if it need not."""
        ...

    def why_not_started(self) -> str:
        """Returns the reason why nothing serves yet; empty once the first worker has served."""
        ...

    def why_not_ready(self) -> str:
        """Returns the reason why clients should go elsewhere; empty if they need not."""
        ...
