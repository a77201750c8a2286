"""Settings of traces."""

import re
from enum import StrEnum
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, PlainSerializer

from gateway.config.grammar import LOWER_TOKEN
from gateway.config.sections import Seconds, Section, Words

_PATH = "/v1/traces"
"""The path of OTLP/HTTP for traces (OTLP 1.5, "OTLP/HTTP Request")."""
_NAME = re.compile(LOWER_TOKEN)
_VALUE = re.compile(r"[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?")
_RESERVED = frozenset(
    {"connection", "content-encoding", "content-length", "content-type", "host"}
    | {"transfer-encoding"}
)


class Kept(StrEnum):
    """A kind of request that is recorded although it was not sampled."""

    ERROR = "error"
    SLOW = "slow"


class Trust(StrEnum):
    """The clients whose flag "sampled" decides."""

    ALL = "all"
    TRUSTED = "trusted"
    NONE = "none"


def _collector(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if host is None or parts.scheme not in ("http", "https") or not url.isprintable():
        raise ValueError("expected the URL of a collector, such as http://localhost:4318")
    if parts.username is not None or parts.password is not None:
        raise ValueError("expected a URL without a password: credentials belong in tracing.headers")
    if parts.query or parts.fragment or " " in url:
        raise ValueError("expected a URL without a query, a fragment and blanks")
    return url.rstrip("/") + _PATH if parts.path in ("", "/") else url


def _header_name(name: str) -> str:
    lower = name.lower()
    if not _NAME.fullmatch(lower):
        raise ValueError("expected the name of a header, such as authorization")
    if lower in _RESERVED:
        raise ValueError(f"{lower} is set by the gateway itself")
    return lower


def _header_value(value: str) -> str:
    # The value is not quoted: it may be a secret.
    if not _VALUE.fullmatch(value):
        raise ValueError("expected a value of visible ASCII characters")
    return value


Secret = Annotated[
    str, AfterValidator(_header_value), PlainSerializer(lambda _: "***"), Words("text", "secret")
]


class TracingOptions(Section):
    """Traces: spans of requests and of calls to back ends, for a collector of OpenTelemetry."""

    otlp: (
        Annotated[
            str,
            AfterValidator(_collector),
            Words("the URL of a collector", "http://localhost:4318"),
        ]
        | None
    ) = None
    """The URL of the collector, which receives OTLP over HTTP; `/v1/traces` is added if it has no
    path. Unset for no traces: then `traceparent` and `tracestate` pass unchanged."""
    headers: dict[Annotated[str, AfterValidator(_header_name)], Secret] = Field(
        default={}, max_length=32
    )
    """Headers for the collector, for example its API key."""
    ratio: Annotated[float, Field(ge=0, le=1)] = 0.01
    """The fraction of traces that are recorded, decided by the trace id."""
    keep: tuple[Kept, ...] = (Kept.ERROR, Kept.SLOW)
    """Requests that are recorded although their trace is not: error (5xx, failed streams), slow."""
    slow_s: Seconds = 1.0
    """A unary call that takes longer is slow."""
    trust: Trust = Trust.TRUSTED
    """The clients whose flag "sampled" in `traceparent` decides instead of `ratio`: all, trusted
    (`forwarded.trusted_proxies`), or none. Trace ids are continued for all clients."""
    service_name: Annotated[str, Field(min_length=1, max_length=255)] = "gateway"
    """The name of this service in traces: `service.name`."""
    resource: dict[str, str] = Field(default={}, max_length=64)
    """More attributes of this service, for example `deployment.environment.name`."""
