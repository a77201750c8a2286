"""The parts of balancing that a program may supply instead of the settings."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.upstream.endpoint import Endpoint, Resolver
from gateway.upstream.pickers import Candidate, Picker, Policy
from gateway.upstream.watch import UNWATCHED, Watch

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
    watch: Watch = UNWATCHED
    """Counts what happens at upstreams."""


SETTINGS_ONLY = Balancing()
"""All as the settings say."""
