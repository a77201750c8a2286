"""The text forms of the metrics, read by the parsers of Prometheus' own client."""

import os
import re
from collections.abc import Iterator
from itertools import pairwise

import pytest
from prometheus_client import Metric as Family
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_families
from prometheus_client.parser import text_string_to_metric_families as text_families
from prometheus_client.samples import Sample

from gateway.config.metrics import MetricsOptions
from gateway.status import Code
from gateway.telemetry.metrics import cells
from gateway.telemetry.metrics.cells import OVERFLOW, CellFile, MetricFiles
from gateway.telemetry.metrics.definitions import CONNECTIONS, METRICS, RATE_LIMITED
from gateway.telemetry.metrics.exposition import OPENMETRICS, TEXT, Exposition, prefers_openmetrics
from gateway.telemetry.metrics.metric import Slot
from gateway.telemetry.metrics.metrics import Metrics
from tests.support.entries import bindings, entry

OPTIONS = MetricsOptions()
DURATION = "http_server_request_duration_seconds"
ROUTE = "/v1/holders/{holder}"
PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)


@pytest.fixture
def files() -> Iterator[list[CellFile]]:
    """The files of two workers."""
    made = [CellFile(), CellFile()]
    yield made
    for one in made:
        one.close()


def metrics_of(file: CellFile, options: MetricsOptions = OPTIONS) -> Metrics:
    return Metrics(options, MetricFiles(file, (file,)), scheme="http")


def families(files: list[CellFile], options: MetricsOptions = OPTIONS) -> dict[str, Family]:
    media_type, text = Exposition(options, files).text()
    assert media_type == TEXT
    return {one.name: one for one in text_families(text.decode())}


def samples(files: list[CellFile], name: str) -> list[Sample]:
    return [one for f in families(files).values() for one in f.samples if one.name == name]


def value(files: list[CellFile], name: str, **labels: str) -> float:
    (one,) = [s for s in samples(files, name) if labels.items() <= s.labels.items()]
    return one.value


def test_requests_are_counted_by_route_and_never_by_path(files: list[CellFile]) -> None:
    one = metrics_of(files[0])
    for _ in range(3):
        one.requests.ended(entry(path="/v1/holders/ada", binding=bindings()[ROUTE]))
    text = Exposition(OPTIONS, files).text()[1].decode()
    assert "ada" not in text
    (count,) = samples(files, f"{DURATION}_count")
    assert count.value == 3
    assert count.labels == {
        "http_route": ROUTE,
        "http_request_method": "GET",
        "http_response_status_code": "200",
        "url_scheme": "http",
        "network_protocol_version": "1.1",
    }


def test_buckets_are_cumulative_and_a_bound_belongs_to_its_bucket(files: list[CellFile]) -> None:
    one = metrics_of(files[0])
    for duration_s in (0.001, 0.0011, 0.3, 99.0):
        one.requests.ended(entry(duration_s=duration_s))
    found = {s.labels["le"]: s.value for s in samples(files, f"{DURATION}_bucket")}
    assert [float(le) for le in found] == [*OPTIONS.buckets, float("inf")]
    assert (found["0.001"], found["0.0025"], found["0.25"], found["0.5"]) == (1, 2, 2, 3)
    assert found["+Inf"] == value(files, f"{DURATION}_count") == 4
    assert value(files, f"{DURATION}_sum") == pytest.approx(99.3021)
    assert all(low <= high for low, high in pairwise(found.values()))


def test_the_sizes_of_bodies_are_counted(files: list[CellFile]) -> None:
    one = metrics_of(files[0])
    one.requests.ended(entry(request_bytes=0, response_bytes=1500))
    one.requests.ended(entry(request_bytes=700, response_bytes=1))
    assert value(files, "http_server_request_body_size_bytes_sum") == 700
    assert value(files, "http_server_response_body_size_bytes_sum") == 1501
    assert value(files, "http_server_response_body_size_bytes_bucket", le="1000") == 1
    assert value(files, "http_server_request_body_size_bytes_bucket", le="100") == 1


@pytest.mark.parametrize(
    ("status", "code", "error_type"),
    [
        (200, Code.OK, None),
        (404, Code.NOT_FOUND, None),
        (503, Code.UNAVAILABLE, "503"),
        (504, Code.DEADLINE_EXCEEDED, "timeout"),
        (499, Code.CANCELLED, "cancelled"),
        (200, Code.INTERNAL, "INTERNAL"),
        (200, Code.NOT_FOUND, None),
    ],
)
def test_failures_have_an_error_type(
    files: list[CellFile], status: int, code: Code, error_type: str | None
) -> None:
    metrics_of(files[0]).requests.ended(entry(status=status, code=code))
    (count,) = samples(files, f"{DURATION}_count")
    assert count.labels.get("error_type") == error_type


def test_made_up_http_methods_are_one(files: list[CellFile]) -> None:
    one = metrics_of(files[0])
    for number in range(50):
        one.requests.ended(entry(method=f"M{number}"))
    assert value(files, f"{DURATION}_count", http_request_method="_OTHER") == 50


def test_a_scrape_is_the_sum_over_workers(files: list[CellFile]) -> None:
    for file, times in zip(files, (2, 5), strict=True):
        one = metrics_of(file)
        for _ in range(times):
            one.requests.ended(entry(duration_s=1))
            one.counter(RATE_LIMITED, "per minute")()
    assert value(files, f"{DURATION}_count") == 7
    assert value(files, f"{DURATION}_sum") == 7
    assert value(files, "gateway_rate_limited_total", rule="per minute") == 7


def test_each_worker_can_be_shown_alone(files: list[CellFile]) -> None:
    options = MetricsOptions(per_worker=True)
    for file, times in zip(files, (2, 5), strict=True):
        one = metrics_of(file)
        for _ in range(times):
            one.requests.ended(entry(duration_s=1))
        one.writer.set(one.writer.child(CONNECTIONS, ()), times)
    found = families(files, options)
    counts = {
        s.labels["worker"]: s.value for s in found[DURATION].samples if s.name.endswith("_count")
    }
    assert counts == {"1": 2, "2": 5}
    assert {"http_response_status_code": "200", "worker": "2"}.items() <= (
        found[DURATION].samples[-1].labels.items()
    )
    connections = {s.labels["worker"]: s.value for s in found["gateway_connections"].samples}
    assert connections == {"1": 2, "2": 5}
    # The pages for operators go on with the sums.
    (children,) = Exposition(options, files).sums(CONNECTIONS)
    (cells,) = children.values()
    assert cells[Slot.VALUE] == 7


def test_the_counters_of_a_dead_worker_stay_and_its_gauges_do_not(files: list[CellFile]) -> None:
    before = metrics_of(files[0])
    before.requests.ended(entry())
    before.writer.set(before.writer.child(CONNECTIONS, ()), 7)
    assert value(files, "gateway_connections") == 7
    after = metrics_of(CellFile(os.dup(files[0]._fd)))
    assert value(files, "gateway_connections") == 0
    assert value(files, "gateway_worker_restarts_total") == 1
    after.requests.ended(entry())
    after.writer.file.flush()  # as `Sampler` does
    assert value(files, f"{DURATION}_count") == 2


def test_some_gauges_are_the_least_or_greatest_of_the_workers_that_live(
    files: list[CellFile],
) -> None:
    from gateway.telemetry.metrics.definitions import GAUGES, GENERATION, STORE_UP

    for file, up, generation in zip(files, (1, 0), (4, 3), strict=True):
        writer = metrics_of(file).writer
        writer.set(writer.child(STORE_UP, ("counters",)), up)
        writer.set(writer.child(GENERATION, ()), generation)
    assert value(files, "gateway_store_up", store="counters") == 0
    assert value(files, "gateway_config_generation") == 4
    files[1].reset(GAUGES)
    assert value(files, "gateway_store_up", store="counters") == 1
    files[0].reset(GAUGES)
    _, text = Exposition(MetricsOptions(), files).text()
    assert b"gateway_store_up" not in text
    assert b"gateway_config_generation" not in text


def test_labels_are_escaped(files: list[CellFile]) -> None:
    rule = 'a "rule" of 100 % \\ and\nmore'
    metrics_of(files[0]).counter(RATE_LIMITED, rule)()
    (one,) = samples(files, "gateway_rate_limited_total")
    assert one.labels == {"rule": rule}


def test_children_beyond_the_most_are_one_and_it_is_said_once(
    files: list[CellFile], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(cells, "MOST_CHILDREN", 3)
    one = metrics_of(files[0])
    for number in range(10):
        one.counter(RATE_LIMITED, f"rule {number}")()
    found = {s.labels["rule"]: s.value for s in samples(files, "gateway_rate_limited_total")}
    assert found == {"rule 0": 1, "rule 1": 1, "rule 2": 1, OVERFLOW: 7}
    (said,) = caplog.records
    assert said.levelname == "WARNING"
    assert "gateway_rate_limited has 3 combinations of labels" in said.getMessage()


def test_a_full_file_loses_children_and_breaks_nothing(
    files: list[CellFile], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(cells, "_FILE_BYTES", 4096)
    one = metrics_of(files[0])
    for number in range(100):
        one.counter(RATE_LIMITED, f"rule {number}")()
    found = samples(files, "gateway_rate_limited_total")
    assert 0 < len(found) < 100
    assert {s.value for s in found} == {1}
    (said,) = [one.getMessage() for one in caplog.records if "rate_limited" in one.getMessage()]
    assert "finds no room" in said


def test_openmetrics_has_units_times_and_an_end(files: list[CellFile]) -> None:
    one = metrics_of(files[0])
    one.requests.ended(entry())
    one.counter(RATE_LIMITED, "rule")()
    media_type, text = Exposition(OPTIONS, files).text(PROMETHEUS)
    assert media_type == OPENMETRICS
    assert text.endswith(b"\n# EOF\n")
    found = {f.name: f for f in open_families(text.decode())}
    assert found[DURATION].unit == "seconds"
    assert found["gateway_rate_limited"].type == "counter"
    assert found["gateway_build"].type == "info"
    created = [s for s in found["gateway_rate_limited"].samples if s.name.endswith("_created")]
    assert created[0].value > 1.6e9


@pytest.mark.parametrize(
    ("traceparent", "is_sampled"),
    [
        (f"00-{'a1' * 16}-{'b2' * 8}-01", True),
        (f"00-{'a1' * 16}-{'b2' * 8}-00", False),
        (f"00-{'0' * 32}-{'b2' * 8}-01", False),
        (f'00-{"a1" * 16}-{"b2" * 8}-01" evil="', False),
    ],
)
def test_sampled_requests_are_exemplars(
    files: list[CellFile], traceparent: str, is_sampled: bool
) -> None:
    metrics_of(files[0]).requests.ended(entry(duration_s=0.3, traceparent=traceparent))
    text = Exposition(OPTIONS, files).text(PROMETHEUS)[1].decode()
    found = [
        (s.labels["le"], s.exemplar) for f in open_families(text) for s in f.samples if s.exemplar
    ]
    if not is_sampled:
        assert found == []
        return
    ((bound, exemplar),) = found
    assert bound == "0.5"
    assert exemplar.labels == {"trace_id": "a1" * 16, "span_id": "b2" * 8}
    assert exemplar.value == 0.3
    assert "# {" not in Exposition(OPTIONS, files).text()[1].decode()


@pytest.mark.parametrize(("later_s", "kept"), [(0.9, "a1"), (1.0, "c3"), (-5.0, "c3")])
def test_an_exemplar_stays_for_a_second(files: list[CellFile], later_s: float, kept: str) -> None:
    requests = metrics_of(files[0]).requests
    for at_s, trace in ((100.0, "a1"), (100.0 + later_s, "c3")):
        requests.ended(entry(at_s=at_s, traceparent=f"00-{trace * 16}-{'b2' * 8}-01"))
    text = Exposition(OPTIONS, files).text(PROMETHEUS)[1].decode()
    found = [s.exemplar for f in open_families(text) for s in f.samples if s.exemplar]
    assert [one.labels["trace_id"] for one in found] == [kept * 16]


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", False),
        ("*/*", False),
        ("text/plain", False),
        (PROMETHEUS, True),
        ("application/openmetrics-text; version=1.0.0", True),
        ("application/openmetrics-text; version=2.0.0", False),
        ("application/openmetrics-text;q=0.1, text/plain;q=0.5", False),
        ("application/openmetrics-text;q=zero", False),
    ],
)
def test_accept_chooses_the_form(accept: str, expected: bool) -> None:
    assert prefers_openmetrics(accept) is expected


def test_own_buckets_are_used(files: list[CellFile]) -> None:
    options = MetricsOptions(buckets=(0.5, 2.0))
    metrics_of(files[0], options).requests.ended(entry())
    family = families(files, options)[DURATION]
    bounds = [s.labels["le"] for s in family.samples if s.name.endswith("_bucket")]
    assert bounds == ["0.5", "2", "+Inf"]


@pytest.mark.parametrize("buckets", [(), (1.0, 1.0), (2.0, 1.0), (0.0,), (float("inf"),)])
def test_wrong_buckets_are_refused(buckets: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="buckets"):
        MetricsOptions(buckets=buckets)


@pytest.mark.parametrize("metric", METRICS, ids=lambda one: one.name)
def test_names_follow_the_rules(metric: object) -> None:
    from gateway.telemetry.metrics.metric import Merge, Metric

    assert isinstance(metric, Metric)
    assert re.fullmatch(r"[a-z][a-z_]*", metric.name)
    assert not metric.name.endswith(("_total", "_created", "_count", "_sum", "_bucket"))
    # Its value is 1, so nothing may add it up over workers.
    assert not metric.name.endswith("_info") or metric.merge is Merge.GREATEST
    assert not metric.unit or metric.name.endswith(f"_{metric.unit}")
    assert not metric.help.endswith(".")
