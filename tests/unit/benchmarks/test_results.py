"""What the benchmark writes down: the chart, the JSON file, the table."""

import json
from math import nan
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console

from benchmarks import report
from benchmarks.chart import draw
from benchmarks.end_to_end import SCENARIOS, Results, Sample
from benchmarks.paced import content_length
from benchmarks.peers import GUARDED, OURS

SVG = "{http://www.w3.org/2000/svg}"


def sample(cpu_us: float) -> Sample:
    return Sample(cpu_us=cpu_us, rate=1000.0, busy=1.0, p50_ms=1.0, p99_ms=nan, peak_mb=60.0)


@pytest.fixture
def results() -> Results:
    return {
        "small GET": {OURS: sample(100), "Envoy": sample(200), "slow <&>": sample(nan)},
        "401 refused": {GUARDED: sample(50)},
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


def test_names_cannot_break_the_chart() -> None:
    root = ET.fromstring(draw({"<GET & more>": {OURS: 1}}, "2026-01-02"))
    assert "<GET & more>" in [text.text for text in root.iter(f"{SVG}text")]


def test_what_was_not_measured_is_null_in_the_file_and_not_in_the_chart(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "OUT", tmp_path)
    data, chart = report.save(results, publish=False)
    document = json.loads(data.read_text(), parse_constant=pytest.fail)
    assert document["results"]["small GET"]["slow <&>"]["cpu_us"] is None
    assert document["results"]["small GET"][OURS]["cpu_us"] == 100
    assert document["measured"].startswith("20")
    assert len(bars(chart.read_text())) == 3


def test_the_table_compares_ours_with_each_peer(results: Results) -> None:
    console = Console(width=120, record=True)
    console.print(report.table(results))
    (line,) = (line for line in console.export_text().splitlines() if "Envoy" in line)
    assert line.split()[:3] == ["Envoy", "200", "0.50"]


def test_only_a_guarded_gateway_is_asked_to_refuse() -> None:
    guarded = [scenario for scenario in SCENARIOS if scenario.guarded]
    assert [scenario.status for scenario in guarded] == [401]
    assert all(scenario.token for scenario in guarded)


@pytest.mark.parametrize(
    ("head", "length"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 12", 12, id="said"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length:0", 0, id="nothing, in small letters"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", -1, id="in chunks"),
    ],
)
def test_the_length_of_a_body_is_read_from_its_head(head: bytes, length: int) -> None:
    assert content_length(head) == length
