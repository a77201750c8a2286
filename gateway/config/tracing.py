"""Settings of traces."""

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field

from gateway.config.collectors import CollectorHeaders, CollectorUrl, Compression, otlp_url
from gateway.config.grammar import is_token
from gateway.config.sections import Seconds, Section, Words


class Kept(StrEnum):
    """A kind of request that is recorded although it was not sampled."""

    ERROR = "error"
    SLOW = "slow"


class Trust(StrEnum):
    """The clients whose flag "sampled" decides."""

    ALL = "all"
    TRUSTED = "trusted"
    NONE = "none"


def _key(text: str) -> str:
    if not is_token(text):
        raise ValueError("expected a key of baggage, such as tenant")
    return text


BaggageKey = Annotated[str, AfterValidator(_key), Words("a key of baggage", "tenant")]


class TracingOptions(Section):
    """Traces: spans of requests and of calls to back ends, for a collector of OpenTelemetry."""

    otlp: Annotated[CollectorUrl, otlp_url("/v1/traces", "tracing.headers")] | None = None
    """The URL of the collector, which receives OTLP over HTTP; `/v1/traces` is added if it has no
    path. Unset for no traces: then `traceparent` and `tracestate` pass unchanged."""
    headers: CollectorHeaders = Field(default={}, max_length=32)
    """Headers for the collector, for example its API key."""
    timeout_s: Seconds = 10.0
    """The time limit for the response of the collector."""
    compression: Compression = Compression.GZIP
    """The compression of what is sent to the collector: gzip or none."""
    ratio: Annotated[float, Field(ge=0, le=1)] = 0.01
    """The fraction of traces that are recorded, decided by the trace id."""
    keep: tuple[Kept, ...] = (Kept.ERROR, Kept.SLOW)
    """Requests that are recorded although their trace is not: error (5xx, failed streams), slow."""
    slow_s: Seconds = 1.0
    """A unary call that takes longer is slow."""
    trust: Trust = Trust.TRUSTED
    """The clients whose flag "sampled" in `traceparent` decides instead of `ratio`: all, trusted
    (`forwarded.trusted_proxies`), or none. Trace ids are continued for all clients."""
    baggage: tuple[BaggageKey, ...] = Field(default=(), max_length=64)
    """The keys of the members of `baggage` that reach back ends from clients. All pass that
    `forwarded.trusted_proxies` send."""
    service_name: Annotated[str, Field(min_length=1, max_length=255)] = "gateway"
    """The name of this service in traces: `service.name`."""
    resource: dict[str, str] = Field(default={}, max_length=64)
    """More attributes of this service, for example `deployment.environment.name`."""
