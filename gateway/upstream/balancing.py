"""The parts of balancing that a program may supply instead of the settings."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gateway.upstream.endpoint import Endpoint, Resolver
from gateway.upstream.pickers import Candidate, Picker, Policy
from gateway.upstream.repeats import WatchRepeats, unwatched
from gateway.upstream.watched_connections import WatchConnections
from gateway.upstream.watched_connections import unwatched as unwatched_connections

__all__ = ["SETTINGS_ONLY", "Balancing", "Candidate", "Endpoint", "Picker", "Policy", "Resolver"]


@dataclass(frozen=True, slots=True)
class Balancing:
    """A program's own resolvers and policies, by the names of upstreams."""

    resolvers: Mapping[str, Resolver] = field(default_factory=dict)
    """Each finds the endpoints in place of the name in `target`, which stays the name that is sent
    to back ends and expected in their certificates."""
    policies: Mapping[str, Policy] = field(default_factory=dict)
    """Each chooses the endpoints in place of `balance`, in all zones."""
    zone: str = ""
    """Where the gateway runs. The setting `zone` replaces it."""
    watch_repeats: Callable[[str], WatchRepeats] = unwatched
    """Returns what is told about the repeats of calls to an upstream, by its name."""
    watch_connections: Callable[[str, str], WatchConnections] = unwatched_connections
    """Returns what is told about connections to an upstream in a zone, by the names of both."""


SETTINGS_ONLY = Balancing()
"""All as the settings say."""
