"""Settings of the supervisor, the process that starts and replaces the workers."""

from gateway.config.sections import Seconds, Section


class SupervisorOptions(Section):
    """The times after which a worker counts as hung; for `workers` other than 1."""

    hang_s: Seconds = 10.0
    """A worker whose event loop does not respond for this time is ended and replaced."""
    start_s: Seconds = 120.0
    """A worker that does not serve within this time of its start is ended and replaced."""
