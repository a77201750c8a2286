"""Settings of the process that watches over workers."""

from gateway.config.sections import Seconds, Section


class SupervisorOptions(Section):
    """When a worker counts as hung; for `workers` other than 1."""

    hang_s: Seconds = 10.0
    """A worker whose event loop does nothing for so long is ended and replaced."""
    start_s: Seconds = 120.0
    """A worker that does not serve so long after its start is ended and started again."""
