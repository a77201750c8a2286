"""The interface between the admin endpoints and the gateway that they show and change."""

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from gateway.cache.tags import Purge
from gateway.config.log import LogLevel
from gateway.config.model import Config
from gateway.telemetry.following import Follow, Followed, ShownRequest
from gateway.telemetry.metrics.exposition import Exposition

# With the types of other modules in which the operations are written.
__all__ = [
    "MOST_ENDPOINTS",
    "RESET",
    "Config",
    "Details",
    "EndpointRow",
    "Errand",
    "ErrandDone",
    "Exposition",
    "Follow",
    "Followed",
    "Inspect",
    "Inspected",
    "LogLevel",
    "Operations",
    "Purge",
    "PurgeReport",
    "ReloadReport",
    "RouteRow",
    "ShownRequest",
    "WorkerState",
]


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


@dataclass(frozen=True, slots=True)
class EndpointRow:
    """One endpoint of an upstream, as one worker sees it."""

    upstream: str
    address: str
    """The address; several addresses of one server are separated by commas."""
    weight: int
    state: str
    """idle, connecting, ready, failing, ejected, unhealthy or draining."""
    in_flight: int
    """The calls in progress."""
    reason: str
    """The reason why it takes no calls; empty if it does."""
    zone: str
    """Where it runs; empty if that is not known."""
    priority: int


@dataclass(frozen=True, slots=True)
class Details:
    """The part of its state that a worker reports only when it is asked for."""

    endpoints: tuple[EndpointRow, ...]
    """The endpoints of all upstreams, up to `MOST_ENDPOINTS`."""
    panics: frozenset[str]
    """The upstreams whose endpoints that are left out get calls too."""
    failures: tuple[ShownRequest, ...]
    """The last failed requests, the oldest one first."""
    stores_down: frozenset[str] = frozenset()
    """The purposes of the stores that are not asked because they have failed."""


MOST_ENDPOINTS: Final = 1000
"""The most endpoints that a worker reports: more would delay its requests."""


@dataclass(frozen=True, slots=True)
class ReloadReport:
    """The changes that a reload has made, or would make."""

    generation: int
    """The number of the settings in force since the start, from 1."""
    routes: int
    """The number of routes."""
    changes: tuple[str, ...]
    """One line for each change that breaks clients or may surprise them, `! breaking RULE: ...`,
    and then for each route that differs: `+ GET /v1/x`, `- GET /v1/y`, `~ GET /v1/z: a -> b`."""
    warnings: tuple[str, ...]
    """Warnings for the operator, one per line."""
    settings: tuple[str, ...] = ()
    """One line for each setting of the process that differs, `~ listen 127.0.0.1:1 -> ...`."""

    def __str__(self) -> str:
        """Returns a sentence with the numbers, for people."""
        kinds = [line[0] for line in self.changes]
        added, removed, changed = (kinds.count(kind) for kind in "+-~")
        breaking = sum(line.startswith("! breaking ") for line in self.changes)
        text = f"{self.routes} routes: {added} added, {removed} removed, {changed} changed"
        return f"{text}; {breaking} changes break clients" if breaking else text


@dataclass(frozen=True, slots=True)
class PurgeReport:
    """The result of an order to drop stored replies."""

    replies: int
    """The number that all workers which answered have dropped."""
    missing: tuple[int, ...] = ()
    """The numbers of the workers that did not answer: they may still have such replies."""


RESET: Final = "POST /limits/reset"
"""The errand that every process carries out, because each may count alone."""


@dataclass(frozen=True, slots=True)
class Errand:
    """A question or an order of an operator that only a process which serves can carry out."""

    action: str
    """The HTTP method and the path, such as `GET /schema`."""
    wanted: Mapping[str, Any]
    """The body of the request; empty if there was none."""


@dataclass(frozen=True, slots=True)
class ErrandDone:
    """The result of an errand, as a response."""

    status: int
    media_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Inspect:
    """A question about the state of a process: stacks, gc, memory or profile."""

    what: str
    seconds: int = 0
    """The time for which memory or profile begin to measure; 0 for the result."""


@dataclass(frozen=True, slots=True)
class Inspected:
    """The answer of a process, for people."""

    text: str


class Operations(Protocol):
    """A running gateway, as its operators see it."""

    config: Config
    """The settings in force."""
    url: str
    """The public URL; empty before it serves."""
    routes: Sequence[RouteRow]
    generation: int
    """The number of the settings in force since the start, from 1."""
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

    def details(self) -> Awaitable[Mapping[int, Details]]:
        """Returns the details of each worker that responds, by its number; waits a bounded time."""
        ...

    def set_draining(self, *, is_draining: bool) -> None:
        """Makes the gateway not ready, or ready again; it goes on serving."""
        ...

    def set_level(self, level: LogLevel) -> None:
        """Changes the log level of every worker."""
        ...

    def purge(self, purge: Purge) -> Awaitable[PurgeReport]:
        """Drops stored replies in every worker; waits a bounded time for their answers."""
        ...

    def run(self, errand: Errand) -> Awaitable[ErrandDone]:
        """Lets a process that serves carry out an errand; waits a bounded time.

        Raises:
            StatusError: UNAVAILABLE, if none serves or responds in time.
        """
        ...

    def follow(self, follow: Follow) -> Awaitable[Mapping[int, Followed]]:
        """Returns the requests that an operator follows, by worker; waits a bounded time."""
        ...

    def inspect(self, inspect: Inspect) -> Awaitable[Mapping[int, str]]:
        """Returns what each worker that responds says of its process, by its number."""
        ...

    def reload(self, *, dry_run: bool) -> Awaitable[ReloadReport]:
        """Reads the settings again and uses them; with `dry_run`, only says what would change.

        Raises:
            StartUpError: the settings cannot be used; those before stay in force. The message has
                one line per reason.
        """
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
