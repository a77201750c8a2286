"""Settings of metrics."""

from enum import StrEnum
from itertools import pairwise
from typing import Annotated

from pydantic import AfterValidator, Field

from gateway.config.collectors import CollectorHeaders, CollectorUrl, Compression, otlp_url
from gateway.config.sections import Seconds, Section, Words

_MOST_BUCKETS = 64


def _rising(buckets: tuple[float, ...]) -> tuple[float, ...]:
    if any(low >= high for low, high in pairwise(buckets)):
        raise ValueError("expected upper bounds in rising order, for example [0.01, 0.1, 1]")
    return buckets


Bound = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Histograms(StrEnum):
    """The form of the histograms that are sent to a collector."""

    EXPLICIT = "explicit"
    EXPONENTIAL = "exponential"


class MetricsOptions(Section):
    """Counters, gauges and histograms of the gateway, for Prometheus."""

    enabled: bool = True
    """Count requests, calls to back ends, refusals and connections."""
    public: bool = False
    """Serve `GET /metrics` on `listen`, for everybody who can reach it and passes `filters`."""
    per_worker: bool = False
    """Show each worker alone, by the label `worker`, and not the sum of all."""
    attempts: bool = False
    """Count each attempt of calls over `http2` too, with the names of gRFC A66: repeated calls have
    several. It costs some processor time for each call."""
    otlp: Annotated[CollectorUrl, otlp_url("/v1/metrics", "metrics.otlp_headers")] | None = None
    """The URL of a collector, to which the metrics are sent by OTLP over HTTP; `/v1/metrics` is
    added if it has no path. Unset for none."""
    otlp_headers: CollectorHeaders = Field(default={}, max_length=32)
    """Headers for the collector, for example its API key."""
    otlp_every_s: Seconds = 60.0
    """The time between two exports."""
    otlp_timeout_s: Seconds = 10.0
    """The time limit for the response of the collector."""
    otlp_compression: Compression = Compression.GZIP
    """The compression of exports: gzip or none."""
    otlp_histograms: Histograms = Histograms.EXPLICIT
    """The histograms of exports: explicit, with the buckets that `/metrics` has, or exponential,
    with finer ones for durations and sizes."""
    buckets: Annotated[
        tuple[Bound, ...],
        Field(min_length=1, max_length=_MOST_BUCKETS),
        AfterValidator(_rising),
        Words("a list of seconds", "[0.01, 0.1, 1]"),
    ] = (
        *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1),
        *(0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
    )
    """The upper bounds of the buckets of durations, in seconds, in rising order."""
