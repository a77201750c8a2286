"""Counters and histograms that interceptors register."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_families
from prometheus_client.parser import text_string_to_metric_families as text_families

from gateway.config.metrics import MetricsOptions
from gateway.telemetry.metrics import cells
from gateway.telemetry.metrics.cells import OVERFLOW, CellFile
from gateway.telemetry.metrics.definitions import RATE_LIMITED
from gateway.telemetry.metrics.exposition import Exposition
from gateway.telemetry.metrics.metric import CellWriter
from gateway.telemetry.metrics.own_metrics import InterceptorMetrics


@pytest.fixture
def files() -> Iterator[list[CellFile]]:
    """The files of two workers."""
    made = [CellFile(), CellFile()]
    yield made
    for one in made:
        one.close()


def own(file: CellFile) -> InterceptorMetrics:
    return InterceptorMetrics(CellWriter(file))


def shown(files: list[CellFile], name: str) -> dict[tuple[str, ...], float]:
    text = Exposition(MetricsOptions(), files).text()[1].decode()
    return {
        tuple(one.labels.values()): one.value
        for family in text_families(text)
        for one in family.samples
        if one.name == name
    }


def test_a_program_that_knows_none_of_them_shows_the_sum_of_all_workers(
    files: list[CellFile],
) -> None:
    for file in files:
        metrics = own(file)
        counter = metrics.counter("tenant_calls", "Calls of tenants", ["tenant"])
        counter.add("acme")
        counter.add("acme", amount=2)
        histogram = metrics.histogram("tenant_wait_seconds", "Waits", buckets=[0.1, 1])
        histogram.observe(0.1)
        histogram.observe(5)
    assert shown(files, "tenant_calls_total") == {("acme",): 6}
    assert shown(files, "tenant_wait_seconds_bucket") == {("0.1",): 2, ("1",): 2, ("+Inf",): 4}
    assert shown(files, "tenant_wait_seconds_sum") == {(): 10.2}
    accept = "application/openmetrics-text; version=1.0.0"
    text = Exposition(MetricsOptions(per_worker=True), files).text(accept)[1].decode()
    found = {one.name: one for one in open_families(text)}
    assert found["tenant_wait_seconds"].unit == "seconds"
    assert {one.labels["worker"] for one in found["tenant_calls"].samples} == {"1", "2"}


def test_the_same_metric_is_shared_and_another_of_its_name_is_refused(
    files: list[CellFile],
) -> None:
    metrics = own(files[0])
    for _ in range(2):
        metrics.counter("calls", "Calls", ["tenant"]).add("acme")
    assert shown(files, "calls_total") == {("acme",): 2}
    with pytest.raises(ValueError, match="calls: it is registered already, in another form"):
        metrics.counter("calls", "Calls", ["other"])


def test_after_a_reload_the_last_form_is_shown_alone(files: list[CellFile]) -> None:
    own(files[0]).counter("calls", "Calls", ["tenant"]).add("acme")
    own(files[0]).counter("calls", "Calls", ["kind"]).add("fast")
    own(files[1]).counter("calls", "Calls", ["kind"]).add("fast")
    text = Exposition(MetricsOptions(), files).text()[1].decode()
    assert text.count("# TYPE calls_total counter") == 1
    assert 'calls_total{kind="fast"} 2.0' in text
    assert "tenant" not in text
    own(files[0]).counter("calls", "Calls", ["tenant"])
    assert shown(files, "calls_total") == {("acme",): 1}


def test_values_beyond_the_most_are_one_and_long_ones_are_cut(files: list[CellFile]) -> None:
    counter = own(files[0]).counter("calls", "Calls", ["tenant"])
    for number in range(1500):
        counter.add(f"{number:04}{'x' * 100}")
    found = shown(files, "calls_total")
    assert len(found) == 1001
    assert found[OVERFLOW,] == 500
    assert max(len(value) for (value,) in found) == 64
    assert len(counter._cells._kept) <= 1000


def test_they_leave_room_for_those_of_the_gateway(
    files: list[CellFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cells, "_FILE_BYTES", 16_384)
    counter = own(files[0]).counter("calls", "Calls", ["tenant"])
    for number in range(1000):
        counter.add(f"{number:04}{'x' * 60}")
    writer = CellWriter(files[0])
    for number in range(30):
        writer.add(writer.child(RATE_LIMITED, (f"rule {number}",)))
    assert 0 < len(shown(files, "calls_total")) < 200
    assert len(shown(files, "gateway_rate_limited_total")) == 30


def test_without_metrics_the_same_calls_count_nothing() -> None:
    metrics = InterceptorMetrics(None)
    metrics.counter("calls", "Calls", ["tenant"]).add("acme")
    metrics.histogram("waits", "Waits").observe(1.0)
    with pytest.raises(ValueError, match="calls: expected a value for each label: tenant"):
        metrics.counter("calls", "Calls", ["tenant"]).add()


def test_another_thread_cannot_count(files: list[CellFile]) -> None:
    counter = own(files[0]).counter("calls", "Calls")
    counter.add()
    seen: list[str] = []

    def count() -> None:
        try:
            counter.add()
        except RuntimeError as error:
            seen.append(str(error))

    thread = threading.Thread(target=count)
    thread.start()
    thread.join()
    assert seen == ["metrics are counted in the thread of the event loop alone"]
    assert shown(files, "calls_total") == {(): 1}


WRONG: dict[str, Callable[[InterceptorMetrics], Any]] = {
    "expected a name": lambda m: m.counter("Calls", "Calls"),
    "does not begin with": lambda m: m.counter("gateway_calls", "Calls"),
    "not end with": lambda m: m.counter("calls_total", "Calls"),
    "help": lambda m: m.counter("calls", "two\nlines"),
    "labels: expected up to 4": lambda m: m.counter("calls", "Calls", ["a", "a"]),
    "labels: expected names": lambda m: m.counter("calls", "Calls", ["le"]),
    "buckets": lambda m: m.histogram("waits", "Waits", buckets=[2, 1]),
    "1 to 32 finite": lambda m: m.histogram("waits", "Waits", buckets=[float("inf")]),
    "an amount from 0": lambda m: m.counter("calls", "Calls").add(amount=-1),
    "there are 32": lambda m: [m.counter(f"calls{number}", "Calls") for number in range(33)],
}


@pytest.mark.parametrize("message", WRONG)
def test_what_cannot_be_shown_is_refused(files: list[CellFile], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WRONG[message](own(files[0]))
