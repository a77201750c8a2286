"""Settings of the supervisor, the process that starts and replaces the workers."""

from typing import Annotated

from pydantic import Field

from gateway.config.sections import Seconds, Section


class SupervisorOptions(Section):
    """The process that starts and replaces workers, and when a worker counts as hung."""

    always: bool = False
    """Supervise also one worker, `workers: 1`: it is replaced if it dies or hangs, and clients wait
    meanwhile instead of being refused. With any other number, workers always are supervised. Only a
    start changes this; a supervisor lets a reload change every other setting."""

    hang_s: Seconds = 10.0
    """A worker whose event loop does not respond for this time is ended and replaced."""
    start_s: Seconds = 120.0
    """A worker that does not serve within this time of its start is ended and replaced."""
    give_up: bool = True
    """End with exit code 1 after five workers have died within 60 s, each within ten seconds of its
    start, while none has served for longer, so that the service manager sees it. False to go
    on trying, every 15 s in the end."""
    max_memory_mb: Annotated[int, Field(ge=1)] | None = None
    """A worker that has more memory than this (its resident set, in MB) finishes its requests and
    is replaced, one worker at a time; unset for no limit. Set at least twice what a worker has
    soon after its start, and two workers or more: one alone accepts no connections meanwhile."""
