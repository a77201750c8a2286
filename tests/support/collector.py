"""A collector of traces and metrics: a real HTTP server that decodes what comes, and answers as
told."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass
class Collector:
    """What a collector received, and how it answers."""

    url: str = ""
    requests: list[ExportTraceServiceRequest] = field(default_factory=list)
    exports: list[ExportMetricsServiceRequest] = field(default_factory=list)
    """The metrics that came to `/v1/metrics`."""
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    """The statuses and headers of the next answers; then all are 200."""
    held: threading.Event = field(default_factory=threading.Event)
    """While it is not set, nothing is answered."""

    @property
    def spans(self) -> list[Span]:
        """All spans that were taken."""
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def named(self, name: str) -> Span:
        """The one span with this name."""
        (found,) = [one for one in self.spans if one.name == name]
        return found


def attributes(span: Any) -> dict[str, str | int]:
    """The attributes of a span or a resource."""
    return {
        one.key: getattr(one.value, str(one.value.WhichOneof("value"))) for one in span.attributes
    }


@contextmanager
def collector(*, held: bool = False) -> Iterator[Collector]:
    """A collector on a free port of this machine, until the end of the block."""
    state = Collector()
    if not held:
        state.held.set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            state.held.wait(20)
            status, headers = state.answers.pop(0) if state.answers else (200, {})
            state.paths.append(self.path)
            state.headers.append({name.lower(): value for name, value in self.headers.items()})
            if self.headers["content-encoding"] == "gzip":
                body = gzip.decompress(body)
            if status == 200 and self.path.startswith("/v1/metrics"):
                state.exports.append(ExportMetricsServiceRequest.FromString(body))
            elif status == 200:
                state.requests.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Logs nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.held.set()
        server.shutdown()
        server.server_close()
        thread.join()
