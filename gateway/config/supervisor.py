"""Settings of the supervisor, the process that starts and replaces the workers."""

from gateway.config.sections import Seconds, Section


class SupervisorOptions(Section):
    """The process that starts and replaces workers, and when a worker counts as hung."""

    always: bool = False
    """Supervise also one worker, `workers: 1`: it is replaced if it dies or hangs, and clients wait
    meanwhile instead of being refused. With any other number, workers always are supervised."""

    hang_s: Seconds = 10.0
    """A worker whose event loop does not respond for this time is ended and replaced."""
    start_s: Seconds = 120.0
    """A worker that does not serve within this time of its start is ended and replaced."""
