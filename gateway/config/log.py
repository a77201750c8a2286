"""Settings of what is written down: where, how much, in which form."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from gateway.config.sections import Seconds, Section

Destination = Literal["off", "stdout", "stderr"] | Path
"""Where lines go; a file may be rotated away, and is made anew."""


class LogFormat(StrEnum):
    """How a line looks."""

    AUTO = "auto"
    JSON = "json"
    TEXT = "text"


class LogLevel(StrEnum):
    """How much is written down."""

    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"


_SECRET_HEADERS = frozenset(
    {
        "authorization",
        "cookie",
        "proxy-authorization",
        "sec-websocket-protocol",  # a browser's token comes in it
        "set-cookie",
        "x-api-key",
    }
)


def _header(name: str) -> str:
    if name.lower() in _SECRET_HEADERS:
        raise ValueError(f"{name} carries credentials, which no log may show")
    return name.lower()


class LogOptions(Section):
    """What is written down."""

    access: Destination = "stdout"
    """Where the line of each request goes: off, stdout, stderr, or a file."""
    events: Destination = "stdout"
    """Where the line of each event in the gateway's own life goes: off, stdout, stderr, a file."""
    audit: Destination = "stdout"
    """Where the audit trail goes: off, stdout, stderr, or a file."""
    audit_fsync: bool = False
    """Have the audit trail on the disk before the next is written; for files."""
    format: LogFormat = LogFormat.AUTO
    """json, text for people, or auto: text on a terminal. The audit trail in a file is JSON."""
    level: LogLevel = LogLevel.INFO
    """The least that is written: debug, info, warn (slow and failed requests) or error."""
    sample: Annotated[float, Field(ge=0, le=1)] = 1.0
    """The share of successful requests that are written down; others are, all of them."""
    slow_s: Seconds | None = None
    """A unary call that takes longer is written down as a warning, sampled or not."""
    headers: tuple[Annotated[str, AfterValidator(_header)], ...] = ()
    """Request headers to write down, none that carries credentials."""
