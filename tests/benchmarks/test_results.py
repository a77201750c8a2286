"""What the benchmark writes down: the chart, the JSON file, the table."""

import json
import re
from datetime import UTC, datetime
from math import nan
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console

from benchmarks import report
from benchmarks.balancing import Choices
from benchmarks.chart import draw
from benchmarks.end_to_end import Results, Sample
from benchmarks.peers import GRPCIO, OURS

SVG = "{http://www.w3.org/2000/svg}"
THEN = report.Moment(datetime(2026, 1, 2, 3, 4, tzinfo=UTC), 0.25)


def sample(cpu_us: float, p99_ms: float = nan) -> Sample:
    return Sample(cpu_us=cpu_us, rate=1000.0, busy=1.0, p50_ms=1.0, p99_ms=p99_ms, peak_mb=60.0)


@pytest.fixture
def results() -> Results:
    return {
        "small GET": {
            OURS: sample(100),
            GRPCIO: sample(300),
            "Envoy": sample(200),
            "slow <&>": sample(nan),
        },
        "401 refused": {OURS: sample(50)},
    }


def bars(svg: str) -> list[float]:
    root = ET.fromstring(svg)
    return [float(bar.attrib["width"]) for bar in root.iter(f"{SVG}rect")]


def test_a_bar_is_as_long_as_its_share_of_the_dearest() -> None:
    ours, half, dearest = bars(draw({"GET": {OURS: 50, "a": 100, "b": 200}}, "2026-01-02"))
    assert (ours / dearest, half / dearest) == pytest.approx((0.25, 0.5))


def test_a_bar_of_next_to_nothing_can_still_be_seen() -> None:
    assert min(bars(draw({"GET": {OURS: 0.01, "a": 1e6}}, "2026-01-02"))) >= 2


def test_the_chart_says_when_it_was_measured() -> None:
    assert "measured 2026-01-02" in draw({"GET": {OURS: 1}}, "2026-01-02")


def test_a_cost_of_a_few_microseconds_keeps_its_fraction() -> None:
    assert ">3.7<" in draw({"a message": {OURS: 3.71}}, "2026-01-02")


def test_names_cannot_break_the_chart() -> None:
    root = ET.fromstring(draw({"<GET & more>": {OURS: 1}}, "2026-01-02"))
    assert "<GET & more>" in [text.text for text in root.iter(f"{SVG}text")]


def test_what_was_not_measured_is_null_in_the_file(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "OUT", tmp_path)
    choices = Choices({"one endpoint": 1000}, {"least_request": {OURS: (21.0, 225.0)}})
    data, _ = report.save(results, {"token": 2.345}, THEN, choices)
    document = json.loads(data.read_text(), parse_constant=pytest.fail)
    assert document["results"]["small GET"]["slow <&>"]["cpu_us"] is None
    assert document["results"]["small GET"][OURS]["cpu_us"] == 100
    assert document["guards"] == {"token": 2.35}
    assert document["balancing"]["latencies_ms"] == {"least_request": {OURS: [21.0, 225.0]}}
    assert document["measured"] == "2026-01-02T03:04+00:00"
    assert document["load_before"] == 0.25


def test_the_chart_shows_the_requests_that_matter_and_each_gateway_once(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "OUT", tmp_path)
    _, chart = report.save(results, {}, THEN)
    text = chart.read_text()
    assert len(bars(text)) == 2
    assert "401 refused" not in text
    assert GRPCIO not in text


def test_the_table_compares_ours_with_each_peer(results: Results) -> None:
    console = Console(width=120, record=True)
    console.print(report.table(results))
    (line,) = (line for line in console.export_text().splitlines() if "Envoy" in line)
    assert line.split()[:3] == ["Envoy", "200", "0.50"]


@pytest.mark.parametrize(
    ("scenario", "peer", "said"),
    [
        pytest.param("small GET", "Envoy", "0.50", id="both were measured"),
        pytest.param("small GET", "slow <&>", "", id="the peer answered nothing"),
        pytest.param("401 refused", "Envoy", "", id="the peer cannot do it"),
        pytest.param("nowhere", "Envoy", "", id="nobody did it"),
    ],
)
def test_a_ratio_is_told_where_there_are_two_to_compare(
    results: Results, scenario: str, peer: str, said: str
) -> None:
    assert report.ratio(results, scenario, peer) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        pytest.param(nan, "", id="not measured"),
        pytest.param(1.234, "1.23", id="small"),
        pytest.param(12.34, "12.3", id="medium"),
        pytest.param(12345.6, "12,346", id="large"),
    ],
)
def test_a_figure_has_as_many_digits_as_mean_something(value: float, said: str) -> None:
    assert report.figure(value) == said


def test_the_machine_is_told_by_its_processor_and_python() -> None:
    said = report.machine()
    assert re.fullmatch(
        r"\d+ cores of .+, Python 3\.\S+ that sums range\(1000\) in [\d.]+ µs", said
    )
