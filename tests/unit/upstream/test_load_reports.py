"""Load reports and the weights made of them, by a clock of the test (gRFC A58)."""

import struct
from collections import Counter
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest

from gateway.config.load_reports import LoadReportOptions
from gateway.upstream.endpoint import Endpoint
from gateway.upstream.load_reports import (
    MOST_REPORT_BYTES,
    Load,
    LoadReport,
    Loads,
    parse_report,
    weight_of,
)
from tests.support.load_reports import entry, number

DEFAULTS = LoadReportOptions()


@dataclass
class Server:
    endpoint: Endpoint
    in_flight: int = 0


def options(**settings: Any) -> LoadReportOptions:
    return LoadReportOptions.model_validate(settings)


def test_a_report_is_read() -> None:
    wire = number(1, 0.25) + number(6, 100.0) + number(7, 3.0) + number(9, 0.5)
    wire += number(2, 0.9) + b"\x18\x05" + entry(8, "queue", 0.75) + entry(5, "disk", 0.1)
    assert parse_report(wire) == LoadReport(
        0.25, 100.0, 3.0, 0.5, {"named_metrics.queue": 0.75, "utilization.disk": 0.1}
    )
    assert parse_report(b"") == LoadReport()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_values_that_are_no_numbers_are_left_out(value: float) -> None:
    assert parse_report(number(1, value) + entry(8, "a", value)) == LoadReport()


@pytest.mark.parametrize(
    "wire",
    [
        b"\x09\x00",
        b"\xff" * 12,
        b"\x42\x05\x0a\x01",
        b"\x42\x03\x0a\x01\xff",
        b"\x0b" * 200,
        b"\x42\x02\x11\x00" + bytes(8),
        b"\x00",
        b"a",
    ],
)
def test_what_is_no_report_is_refused(wire: bytes) -> None:
    with pytest.raises(ValueError, match="no OrcaLoadReport"):
        parse_report(wire)


def test_any_bytes_are_a_report_or_refused() -> None:
    random = Random(1)
    for _ in range(2000):
        wire = number(1, 0.5) + entry(8, "a", 1.0) + random.randbytes(random.randrange(20))
        cut = wire[: random.randrange(len(wire) + 1)]
        try:
            parse_report(cut)
        except ValueError as error:
            assert "no OrcaLoadReport" in str(error)  # noqa: PT017 - most cuts are refused


def test_a_large_report_is_refused_unread() -> None:
    entries = entry(8, "a", 1.0) * (MOST_REPORT_BYTES // 10)
    with pytest.raises(ValueError, match="larger than 4096 bytes"):
        parse_report(entries)


@pytest.mark.parametrize(
    ("report", "weight"),
    [
        (LoadReport(application_utilization=0.5, rps_fractional=100), 200),
        (LoadReport(cpu_utilization=0.5, rps_fractional=100), 200),
        (LoadReport(0.9, 100, 0, 0.5), 200),
        (LoadReport(application_utilization=0.5, rps_fractional=100, eps=50), 100),
        (LoadReport(application_utilization=0.5), 0),
        (LoadReport(rps_fractional=100), 0),
        (LoadReport(cpu_utilization=-1, rps_fractional=100), 0),
        (LoadReport(cpu_utilization=5e-324, rps_fractional=1e300), 0),
    ],
)
def test_the_weight_is_the_calls_at_full_use(report: LoadReport, weight: float) -> None:
    assert weight_of(report, DEFAULTS) == pytest.approx(weight)


def test_named_metrics_come_first_by_the_largest() -> None:
    report = LoadReport(0.9, 100, 0, 0.9, {"named_metrics.a": 0.1, "utilization.b": 0.4})
    names = ["named_metrics.a", "utilization.b", "named_metrics.none"]
    assert weight_of(report, options(metric_names_for_computing_utilization=names)) == 250
    names = ["named_metrics.none"]
    assert weight_of(
        report, options(metric_names_for_computing_utilization=names)
    ) == pytest.approx(111.1, abs=0.1)


def test_a_weight_counts_after_the_blackout_and_expires() -> None:
    load = Load()
    assert load.weight(0, DEFAULTS) == 0
    load.report(200, 100)
    assert load.weight(109.9, DEFAULTS) == 0
    assert load.weight(110, DEFAULTS) == 200
    assert load.weight(279.9, DEFAULTS) == 200
    assert load.weight(280, DEFAULTS) == 0
    load.report(300, 300)
    assert load.weight(309.9, DEFAULTS) == 0, "the blackout begins anew"
    assert load.weight(310, DEFAULTS) == 300


def test_a_report_without_a_weight_changes_nothing() -> None:
    load = Load()
    load.report(200, 100)
    load.report(0, 270)
    assert load.weight(279, DEFAULTS) == 200
    assert load.weight(280, DEFAULTS) == 0


def test_the_blackout_begins_anew_with_a_new_connection() -> None:
    load = Load()
    load.report(200, 100)
    load.connected()
    load.report(200, 120)
    assert load.weight(129, DEFAULTS) == 0
    assert load.weight(130, DEFAULTS) == 200


def loaded(*weights: float) -> tuple[Loads, list[Server]]:
    """Endpoints with these weights, 0 for none; the blackout is over."""
    loads = Loads(options(blackout_period_s=0), Random(1))
    all_servers = [Server(Endpoint((f"10.0.0.{n}:1",))) for n in range(len(weights))]
    for server, weight in zip(all_servers, weights, strict=True):
        loads.add(server.endpoint.addresses).report(weight, 100)
    loads.update(101)
    return loads, all_servers


def test_weights_are_counted_with_the_reason_why_there_is_none() -> None:
    loads = Loads(DEFAULTS, Random(1))
    expired, fresh, _, known = [loads.add((f"10.0.0.{n}:1",)) for n in range(4)]
    expired.report(200, 100)
    known.report(300, 200)
    fresh.report(300, 275)  # in the blackout
    loads.update(280)
    assert loads.census(280) == ([0, 0, 0, 300], 2, 1)


def shares(loads: Loads, all_servers: list[Server], calls: int) -> list[int]:
    picker = loads.picker(all_servers)
    counted = Counter(picker.pick() for _ in range(calls))
    return [counted[index] for index in range(len(all_servers))]


def test_calls_are_in_proportion_to_the_weights() -> None:
    assert shares(*loaded(100, 200, 300), 6000) == pytest.approx([1000, 2000, 3000], rel=0.02)


def test_an_endpoint_without_a_weight_gets_the_mean() -> None:
    assert shares(*loaded(100, 300, 0), 6000) == pytest.approx([1000, 3000, 2000], rel=0.02)


@pytest.mark.parametrize("weights", [(0, 0, 0), (500, 0, 0)])
def test_with_fewer_than_two_weights_each_gets_the_same(weights: tuple[float, ...]) -> None:
    assert shares(*loaded(*weights), 3000) == [1000, 1000, 1000]


def test_a_picker_takes_new_weights_and_goes_back_when_they_expire() -> None:
    loads, all_servers = loaded(100, 300)
    picker = loads.picker(all_servers)
    assert Counter(picker.pick() for _ in range(400))[1] == pytest.approx(300, abs=3)
    loads.update(300)
    assert Counter(picker.pick() for _ in range(400))[1] == 200


def test_an_endpoint_that_is_back_keeps_its_own_load() -> None:
    loads, (one, _) = loaded(100, 300)
    old = loads.add(one.endpoint.addresses)
    new = loads.add(one.endpoint.addresses)
    loads.remove(one.endpoint.addresses, old)
    new.report(50, 101)
    loads.update(102)
    assert 50 in loads.weights([one, _])


def test_the_bytes_of_the_helper_are_those_of_protobuf() -> None:
    assert number(6, 1.0) == b"\x31" + struct.pack("<d", 1.0)
