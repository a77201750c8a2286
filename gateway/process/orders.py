"""The messages between the supervisor and its workers."""

from dataclasses import dataclass

from gateway.listeners.sockets import Sockets
from gateway.telemetry.metrics.cells import MetricFiles


@dataclass(frozen=True, slots=True)
class Started:
    """The report of a worker that serves."""

    routes: int
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Failed:
    """The report of a worker that cannot start."""

    reason: str


@dataclass(frozen=True, slots=True)
class Leaving:
    """The report of a worker that accepts no more connections."""


@dataclass(frozen=True, slots=True)
class StandIn:
    """The order to also accept the connections of these workers, and of no others."""

    numbers: frozenset[int]


Report = Started | Failed | Leaving


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
