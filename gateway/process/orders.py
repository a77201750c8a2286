"""The messages between the supervisor and its workers."""

from dataclasses import dataclass

from gateway.listeners.sockets import Sockets


@dataclass(frozen=True, slots=True)
class Started:
    """What a worker reports when it serves."""

    routes: int
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Failed:
    """What a worker reports when it cannot start."""

    reason: str


@dataclass(frozen=True, slots=True)
class Leaving:
    """What a worker reports when it accepts no more connections."""


@dataclass(frozen=True, slots=True)
class StandIn:
    """What a worker is told: to accept the connections of these workers as well, and no others."""

    numbers: frozenset[int]


Report = Started | Failed | Leaving


@dataclass(frozen=True, slots=True)
class Post:
    """What a worker is given to serve."""

    number: int
    """Its place, from 1 on."""
    sockets: Sockets
    neighbours: dict[int, Sockets]
    """The sockets of workers whose connections it can accept, by their numbers."""
    is_first: bool
    """Whether no worker has served yet: one tells what is true of all."""
    fate: str
    """What became of the process before this one; empty if there was none."""
    stack: str
    """Where that process was when it died, as far as is known."""
