"""The export of spans to collectors that are slow, busy, wrong, or not there."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from gateway.config.tracing import TracingOptions
from gateway.status import Code
from gateway.telemetry.record import Record
from gateway.telemetry.traces import exporter as module
from gateway.telemetry.traces.collector import Collector as Connection
from gateway.telemetry.traces.exporter import SpanExporter
from gateway.trace_context import Trace
from tests.support.collector import Collector, attributes, collector
from tests.support.entries import bindings, entry

TRACE = "a1" * 16


def record(*, is_sampled: bool = True, **changes: Any) -> Record:
    """The record of a traced request."""
    trace = Trace()
    trace.place(f"00-{TRACE}-{'c3' * 8}-0{int(is_sampled)}".encode(), "", "")
    return entry(trace=trace, **changes)


@contextmanager
def exporting(received: Collector, **options: Any) -> Iterator[SpanExporter]:
    """An exporter to a collector."""
    settings = TracingOptions.model_validate({"otlp": received.url, **options})
    assert settings.otlp is not None
    connection = Connection(
        settings.otlp, settings.headers, timeout_s=settings.timeout_s, compresses=True
    )
    exporter = SpanExporter(settings, connection, scheme="http", version="1")
    try:
        yield exporter
    finally:
        exporter.close()


def test_many_requests_leave_in_batches() -> None:
    with collector() as received:
        with exporting(received) as exporter:
            for _ in range(1000):
                exporter.ended(record())
        assert len(received.spans) == 1000
        assert exporter.lost() == 0
    sizes = [len(one.resource_spans[0].scope_spans[0].spans) for one in received.requests]
    assert max(sizes) <= 256


@pytest.mark.parametrize(
    ("changes", "is_kept"),
    [
        pytest.param({}, False, id="success"),
        pytest.param({"status": 500, "code": Code.INTERNAL}, True, id="failed"),
        pytest.param({"status": 504, "code": Code.DEADLINE_EXCEEDED}, True, id="timeout"),
        pytest.param({"status": 200, "code": Code.DATA_LOSS}, True, id="failed stream"),
        pytest.param({"status": 404, "code": Code.NOT_FOUND}, False, id="client's fault"),
        pytest.param({"status": 499, "code": Code.CANCELLED}, False, id="client left"),
        pytest.param({"duration_s": 1.5}, True, id="slow"),
    ],
)
def test_what_is_kept_although_it_was_not_sampled(
    changes: dict[str, Any], *, is_kept: bool
) -> None:
    changes["binding"] = bindings()["/v1/holders/{holder}"]
    with collector() as received, exporting(received) as exporter:
        exporter.ended(record(is_sampled=False, **changes))
        exporter.close()
        assert bool(received.spans) is is_kept
    with collector() as received, exporting(received, keep=[]) as exporter:
        exporter.ended(record(is_sampled=False, **changes))
        exporter.close()
        assert received.spans == []


def test_a_request_without_a_trace_is_ignored() -> None:
    with collector() as received, exporting(received) as exporter:
        exporter.ended(entry())
        exporter.close()
        assert received.requests == []


def test_a_busy_collector_is_asked_again() -> None:
    with collector() as received:
        received.answers += [(503, {"retry-after": "0"}), (429, {})]
        with exporting(received) as exporter:
            for _ in range(256):  # a full batch, which is sent at once
                exporter.ended(record())
            until_s = time.monotonic() + 20
            while not received.requests and time.monotonic() < until_s:
                time.sleep(0.05)
            assert len(received.spans) == 256
            assert exporter.lost() == 0


def test_a_refusal_is_not_repeated_and_counted() -> None:
    with collector() as received:
        received.answers += [(400, {})]
        with exporting(received) as exporter:
            exporter.ended(record())
    assert received.paths == ["/v1/traces"]
    assert exporter.lost() == 1


def test_a_collector_that_hangs_holds_nobody_up_and_the_queue_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_CLOSING_S", 0.1)
    with collector(held=True) as received, exporting(received) as exporter:
        started_s = time.monotonic()
        for _ in range(10_000):
            exporter.ended(record())
        assert time.monotonic() - started_s < 5, "it must not wait for the collector"
        assert 10_000 - 4096 - 2 * 256 <= exporter.lost() <= 10_000 - 4096
        exporter.close()
        assert exporter.lost() >= 10_000 - 256, "what still waits at the end is lost too"


def test_secrets_and_hidden_fields_are_masked_and_texts_are_cut() -> None:
    secret = f"gwk_{'a' * 49}"
    with collector() as received, exporting(received) as exporter:
        exporter.ended(
            record(
                path=f"/v1/{secret}",
                query="pin=1234",
                user_agent=f"{secret} {'x' * 5000}",
                request_id=secret,
                client=secret,
                method=f"X{secret}",
                headers={"Host": "[::1]:8080"},
            )
        )
        exporter.close()
        (span,) = received.spans
        found = attributes(span)
    assert "gwk_" not in str(received.requests)
    assert "1234" not in str(received.requests)
    assert len(str(found["user_agent.original"])) == 1024
    assert (span.name, found["http.request.method"]) == ("HTTP", "_OTHER")
    assert (found["server.address"], found["server.port"]) == ("::1", 8080)
