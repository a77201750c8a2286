"""The messages between the supervisor and its workers."""

from dataclasses import dataclass
from typing import Final

from gateway.endpoints.admin.operations import (
    Config,
    Details,
    Errand,
    ErrandDone,
    Follow,
    Followed,
    Inspect,
    Inspected,
    LogLevel,
    Purge,
    ReloadReport,
)
from gateway.listeners.sockets import Sockets
from gateway.telemetry.metrics.cells import MetricFiles

__all__ = ["Config", "Details", "ErrandDone", "MetricFiles", "Sockets"]
__all__ += ["CUT", "ONE_SIGNAL_S", "Answer", "Assignment", "Changed", "Cut", "Discard", "Drain"]
__all__ += ["Failed", "Leaving", "LogRefusal", "LogReload", "Order", "Prepare", "Prepared"]
__all__ += ["Question", "Refused", "ReloadAnswer", "ReloadOrder", "Report", "Retire", "SetLevel"]
__all__ += ["SetReady", "StandIn", "Started", "Swap", "Swapped", "Table", "Tell", "Told"]
__all__ += ["WantReload"]

CUT: Final = 3
"""The exit code of a process that drained, but had to cut requests."""
ONE_SIGNAL_S: Final = 0.2
"""Signals within this time are one: `timeout` and terminals can send it to a process twice."""


Table = tuple[tuple[str, str, str], ...]
"""The HTTP method, path and RPC method of each route."""


@dataclass(frozen=True, slots=True)
class Started:
    """The report of a worker that serves."""

    routes: int
    warnings: tuple[str, ...]
    table: Table
    """The routes; empty without an admin listener, which shows them."""


@dataclass(frozen=True, slots=True)
class Told:
    """The counts of one process at this moment."""

    connections: int
    requests: int
    """The requests in progress."""
    details: Details | None = None
    """Only in the answer to an order with `wants_details`."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The report of a worker that cannot start."""

    reason: str


@dataclass(frozen=True, slots=True)
class Leaving:
    """The report of a worker that accepts no more connections."""


@dataclass(frozen=True, slots=True)
class WantReload:
    """The report of a worker whose back ends have changed."""


@dataclass(frozen=True, slots=True)
class StandIn:
    """The order to also accept the connections of these workers, and of no others."""

    numbers: frozenset[int]


@dataclass(frozen=True, slots=True)
class Drain:
    """The order to end when the requests in progress are finished; all workers get it."""


@dataclass(frozen=True, slots=True)
class Retire:
    """The order to end, because processes with new settings serve instead.

    The requests in progress have `keep_s` seconds.
    """

    keep_s: float
    is_port_closed: bool
    """True if the new ones listen on another address."""


@dataclass(frozen=True, slots=True)
class Cut:
    """The order to end the requests in progress, and then to end."""


@dataclass(frozen=True, slots=True)
class Tell:
    """The order to report the counts."""

    wants_details: bool = False


@dataclass(frozen=True, slots=True)
class SetLevel:
    """The order to change the log level."""

    level: LogLevel


@dataclass(frozen=True, slots=True)
class SetReady:
    """The order to answer the health check on the public port as ready, or not."""

    is_ready: bool


@dataclass(frozen=True, slots=True)
class Question:
    """A question to workers: about followed requests or their state, a purge, or an errand."""

    number: int
    """The number of the question, which its answer repeats."""
    content: Purge | Follow | Inspect | Errand


@dataclass(frozen=True, slots=True)
class Answer:
    """The report of a worker on a question: dropped replies, requests, state, or the result."""

    number: int
    content: int | Followed | Inspected | ErrandDone
    has_more: bool = False
    """True if the body of an errand is long, and its next part follows."""


@dataclass(frozen=True, slots=True)
class Changed:
    """The report of a worker whose calls have changed something, and the order to drop it."""

    paths: frozenset[str]
    tags: frozenset[str]
    is_all: bool = False
    """True if nobody knows what has changed."""


@dataclass(frozen=True, slots=True)
class Prepare:
    """The order to check new settings, and to prepare their use."""

    config: Config
    generation: int
    dry_run: bool = False
    """True if they are not to be used."""
    compares: bool = True
    """True to look for changes that break clients, which one worker does."""


@dataclass(frozen=True, slots=True)
class Swap:
    """The order to use the settings that were prepared."""

    logs_changes: bool


@dataclass(frozen=True, slots=True)
class Discard:
    """The order to forget the settings that were prepared."""


@dataclass(frozen=True, slots=True)
class LogReload:
    """The order to log and count the reload that has started this process, with others."""

    report: ReloadReport


@dataclass(frozen=True, slots=True)
class LogRefusal:
    """The order to log why settings cannot be used."""

    reason: str
    dry_run: bool = False
    """True if they were not to be used."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """The report of a worker that can use new settings."""

    report: ReloadReport
    table: Table


@dataclass(frozen=True, slots=True)
class Refused:
    """The report of a worker that cannot use new settings."""

    reason: str


@dataclass(frozen=True, slots=True)
class Swapped:
    """The report of a worker that uses new settings."""


ReloadOrder = Prepare | Swap | Discard | LogReload | LogRefusal
Order = (
    StandIn | Drain | Retire | Cut | Tell | SetLevel | SetReady | Question | Changed | ReloadOrder
)
ReloadAnswer = Prepared | Refused | Swapped
Report = Started | Told | Answer | Changed | Failed | Leaving | WantReload | ReloadAnswer


@dataclass(frozen=True, slots=True)
class Assignment:
    """The task of a worker process: its sockets, and the history of its place."""

    number: int
    """The number of its place, from 1."""
    sockets: Sockets
    neighbours: dict[int, Sockets]
    """The sockets of the workers that it can accept for, by their numbers."""
    is_first: bool
    """True if no worker has served yet: the first one logs the messages that hold for all."""
    last_end: str
    """The end of the process before this one, as a message; empty if there was none."""
    stack: str
    """The stacks of that process when it died; empty if unknown."""
    metric_files: MetricFiles | None = None
    """The file for the counters of its place; None if metrics are off."""
    is_port_kept: bool = False
    """True if a service manager keeps the sockets for the next start."""
    generation: int = 1
    """The number of its settings since the start of the gateway."""
