"""Exponential histograms of OTLP, made of the cells that the text forms are made of."""

import math
import random
from array import array
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from gateway.config.metrics import Histograms, MetricsOptions
from gateway.telemetry.metrics.cells import CellFile, MetricFiles
from gateway.telemetry.metrics.definitions import REQUEST_DURATION
from gateway.telemetry.metrics.exposition import Exposition
from gateway.telemetry.metrics.metric import used
from gateway.telemetry.metrics.metrics import Metrics
from tests.support.entries import entry

OPTIONS = MetricsOptions(otlp_histograms=Histograms.EXPONENTIAL)
DURATION = "http.server.request.duration"
SIZE = "http.server.response.body.size"


@pytest.fixture
def file() -> Iterator[CellFile]:
    made = CellFile()
    yield made
    made.close()


def counted(file: CellFile, options: MetricsOptions, durations_s: list[float]) -> None:
    metrics = Metrics(options, MetricFiles(file, (file,)), scheme="http")
    for duration_s in durations_s:
        metrics.requests.ended(entry(duration_s=duration_s, response_bytes=3000))


def points(file: CellFile) -> dict[str, Any]:
    """The one point of each exponential histogram, by the name of the metric."""
    request = ExportMetricsServiceRequest.FromString(Exposition(OPTIONS, [file]).export({}))
    return {
        one.name: one.exponential_histogram.data_points[0]
        for one in request.resource_metrics[0].scope_metrics[0].metrics
        if one.WhichOneof("data") == "exponential_histogram"
    }


def index(value: float, scale: int) -> int:
    """The bucket of a value, as OpenTelemetry's data model defines it: (base^i, base^(i+1)]."""
    base = 2.0 ** (2.0**-scale)
    at = math.ceil(math.log(value, base)) - 1
    assert base**at < value <= base ** (at + 1)
    return at


def test_each_value_is_in_its_bucket(file: CellFile) -> None:
    chance = random.Random(1)
    durations_s = [2 ** chance.uniform(-12.9, 16.9) for _ in range(500)]
    counted(file, OPTIONS, durations_s)
    point = points(file)[DURATION]
    assert point.scale == 2
    assert point.count == 500
    assert point.sum == pytest.approx(sum(durations_s))
    found = dict(enumerate(point.positive.bucket_counts, point.positive.offset))
    expected = Counter(index(one, point.scale) for one in durations_s)
    assert {at: count for at, count in found.items() if count} == expected
    assert 0 not in (found[min(found)], found[max(found)])  # no empty buckets at the ends


def test_the_least_and_the_greatest_have_buckets_too(file: CellFile) -> None:
    counted(file, OPTIONS, [0.0, 2.0**-13, 2.0**-12, 1.0, 1e9])
    point = points(file)[DURATION]
    assert (point.zero_count, point.zero_threshold) == (2, 2.0**-13)
    counts = point.positive.bucket_counts
    # A bound belongs to the bucket below it: 2^-12 ends the bucket with the index -12 * 4 - 1.
    assert point.positive.offset == -49
    assert (counts[0], counts[48], counts[-1]) == (1, 1, 1)
    assert point.positive.offset + len(counts) - 1 == 17 * 4


def test_sizes_are_exponential_and_small_numbers_are_not(file: CellFile) -> None:
    counted(file, OPTIONS, [1.0])
    found = points(file)
    point = found[SIZE]
    assert point.scale == 1
    assert list(point.positive.bucket_counts) == [1]
    assert point.positive.offset == index(3000, 1)
    assert "grpc.client.call.retries" not in found


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, []),
        ({0: 1.0}, [0]),
        ({9: 3.0}, [9]),
        ({0: 2.0, 9: 5e-324}, list(range(10))),
        ({3: 1e300, 4: 1.0}, [3, 4]),
    ],
)
def test_the_cells_in_use_are_found(values: dict[int, float], expected: list[int]) -> None:
    cells = array("d", [7.0, 7.0, *(values.get(at, 0.0) for at in range(10)), 7.0])
    assert [at - 2 for at in used(cells, 2, 12)] == expected


def test_workers_are_added_up_bucket_by_bucket(file: CellFile) -> None:
    other, both = CellFile(), CellFile()
    chance = random.Random(3)
    durations_s = [2 ** chance.uniform(-14, 18) for _ in range(200)]
    counted(file, OPTIONS, durations_s[:150])
    counted(other, OPTIONS, durations_s[150:])
    counted(both, OPTIONS, durations_s)
    sums = [
        next(Exposition(OPTIONS, files).sums(REQUEST_DURATION)) for files in ([file, other], [both])
    ]
    for (labels, one), (same, expected) in zip(sums[0].items(), sums[1].items(), strict=True):
        assert labels == same
        assert list(one[1:]) == pytest.approx(list(expected[1:]))
    other.close()
    both.close()


def test_the_text_has_the_buckets_of_the_settings_all_the_same(file: CellFile) -> None:
    other = CellFile()
    durations_s = [2 ** random.Random(2).uniform(-12, 5) for _ in range(100)]
    durations_s += OPTIONS.buckets
    counted(file, OPTIONS, durations_s)
    counted(other, MetricsOptions(), durations_s)
    lines = [
        {
            line
            for line in Exposition(options, [one]).text()[1].decode().split("\n")
            if "_bucket{" in line
        }
        for one, options in ((file, OPTIONS), (other, MetricsOptions()))
    ]
    assert lines[0] == lines[1] != set()
    other.close()
