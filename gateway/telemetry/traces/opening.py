"""Opens what traces need: the sampling of requests, and the exporter of their spans."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version

from gateway.config.tracing import TracingOptions
from gateway.telemetry.traces.collector import Collector
from gateway.telemetry.traces.exporter import SpanExporter
from gateway.telemetry.traces.starting import TraceStarter


@dataclass(frozen=True, slots=True)
class Traces:
    """The traces of one gateway."""

    starter: TraceStarter
    """Gives each request its trace."""
    exporter: SpanExporter
    """The observer that sends the spans of ended requests."""


@asynccontextmanager
async def open_traces(options: TracingOptions, scheme: str) -> AsyncIterator[Traces | None]:
    """Opens the traces for the block, and sends the waiting spans at its end.

    `scheme` is that of the gateway's URLs. The result is None without a collector.
    """
    if options.otlp is None:
        yield None
        return
    collector = Collector(
        options.otlp,
        options.headers,
        timeout_s=options.timeout_s,
        compresses=options.compression == "gzip",
    )
    exporter = SpanExporter(options, collector, scheme=scheme, version=version("grpc-rest-gateway"))
    try:
        yield Traces(TraceStarter(options), exporter)
    finally:
        await asyncio.to_thread(exporter.close)  # it waits for the collector
