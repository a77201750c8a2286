"""The parts of balancing that a program may supply instead of the settings."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.upstream.endpoint import Endpoint, HealthCheck, Resolver
from gateway.upstream.pickers import Candidate, Picker, Policy
from gateway.upstream.watch import UNWATCHED, Watch

__all__ = [
    "SETTINGS_ONLY",
    "Balancing",
    "Candidate",
    "Endpoint",
    "HealthCheck",
    "Picker",
    "Policy",
    "Resolver",
]


@dataclass(frozen=True, slots=True)
class Balancing:
    """A program's own resolvers, policies and health checks, by the names of upstreams."""

    resolvers: Mapping[str, Resolver] = field(default_factory=dict)
    """Each finds the endpoints in place of the name in `target`, which stays the name that is sent
    to back ends and expected in their certificates."""
    policies: Mapping[str, Policy] = field(default_factory=dict)
    """Each chooses the endpoints in place of `balance`, in all zones."""
    health_checks: Mapping[str, HealthCheck] = field(default_factory=dict)
    """Each is asked in place of what `health.kind` says, at the times that `health` says."""
    zone: str = ""
    """Where the gateway runs. The setting `zone` replaces it."""
    watch: Watch = UNWATCHED
    """Counts what happens at upstreams."""

    @property
    def names(self) -> set[str]:
        """The upstreams for which something is supplied."""
        return {*self.resolvers, *self.policies, *self.health_checks}


SETTINGS_ONLY = Balancing()
"""All as the settings say."""
