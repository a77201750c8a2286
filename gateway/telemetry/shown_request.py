"""One ended request, as operators see it: safe to show, and small."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ShownRequest:
    """An ended request; texts that clients choose are masked and cut."""

    at_s: float
    """The time at which it ended, in seconds since 1970."""
    http_method: str
    route: str
    """The path template; empty if no route matched."""
    path: str
    status: int
    code: str
    """The name of the canonical code."""
    error_type: str
    """OpenTelemetry's `error.type`; empty if it did not fail."""
    duration_s: float
    request_id: str
