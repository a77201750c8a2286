"""Settings of logs: destination, level and format."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from gateway.config.sections import Seconds, Section

Destination = Literal["off", "stdout", "stderr"] | Path
"""The destination of log lines; a file that was rotated is created again."""


class LogFormat(StrEnum):
    """The format of a log line."""

    AUTO = "auto"
    JSON = "json"
    TEXT = "text"


class LogLevel(StrEnum):
    """The level of a log line."""

    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"


_SECRET_HEADERS = frozenset(
    {
        "authorization",
        "cookie",
        "proxy-authorization",
        "sec-websocket-protocol",  # carries the token of a browser
        "set-cookie",
        "x-api-key",
    }
)


def _header(name: str) -> str:
    if name.lower() in _SECRET_HEADERS:
        raise ValueError(f"{name} carries credentials, which must not be logged")
    return name.lower()


class LogOptions(Section):
    """The access log, the events, and the audit trail."""

    access: Destination = "stdout"
    """The destination of the line for each request: off, stdout, stderr, or a file."""
    events: Destination = "stdout"
    """The destination of the gateway's events: off, stdout, stderr, or a file."""
    audit: Destination = "stdout"
    """The destination of the audit trail: off, stdout, stderr, or a file."""
    audit_fsync: bool = False
    """Sync each line of the audit trail to disk before the next one; for files."""
    format: LogFormat = LogFormat.AUTO
    """json, text for people, or auto: text on a terminal. The audit trail in a file is JSON."""
    level: LogLevel = LogLevel.INFO
    """The lowest level that is logged: debug, info, warn (slow and failed requests) or error."""
    sample: Annotated[float, Field(ge=0, le=1)] = 1.0
    """The fraction of successful requests that are logged; failed ones are always logged."""
    slow_s: Seconds | None = None
    """A unary call that takes longer is logged as a warning, regardless of `sample`."""
    headers: tuple[Annotated[str, AfterValidator(_header)], ...] = ()
    """Request headers to log; headers with credentials are not allowed."""
