"""What a published run leaves in docs/."""

from pathlib import Path

import pytest

from benchmarks import publishing
from benchmarks.balancing import Choices
from benchmarks.end_to_end import Results
from benchmarks.peers import ARMERIA, GRPCIO, OURS, PYTHON
from benchmarks.scenarios import SMALL_GET
from tests.benchmarks.test_results import THEN, sample

PAGE = "# Page\n\n<!-- figures -->\nold\n<!-- /figures -->\n\nthe rest\n"


@pytest.fixture
def results() -> Results:
    return {
        SMALL_GET.name: {
            OURS: sample(90, 3.0),
            PYTHON: sample(150),
            GRPCIO: sample(300),
            "grpc-gateway": sample(120, 2.0),
            "Envoy": sample(200, 4.0),
            ARMERIA: sample(300),
        },
        "1 MB up": {OURS: sample(2500), "Envoy": sample(1250)},
    }


@pytest.fixture
def page(tmp_path: Path) -> Path:
    file = tmp_path / "docs" / "page.md"
    file.parent.mkdir()
    file.write_text(PAGE)
    return file


def test_costs_stand_beside_each_other_in_one_order(results: Results) -> None:
    assert publishing.costs(results) == [
        ("small GET", "90.0", "150", "300", "120", "200", "", "", "300", "", "0.75", "0.45", ""),
        ("1 MB up", "2,500", "", "", "", "1,250", "", "", "", "", "", "2.00", ""),
    ]


def test_latencies_leave_out_a_slowest_hundredth_nobody_saw(results: Results) -> None:
    first, second = publishing.latencies(results)
    assert first == ["small GET", "1.00 / 3.00", "60", "1.00 / 2.00", "60", "1.00 / 4.00", "60"]
    assert second == ["1 MB up", "1.00", "60", "", "", "1.00", "60"]


def test_every_goal_is_told_with_what_came_of_it(results: Results) -> None:
    by_name = {row[0]: tuple(row[1:]) for row in publishing.goals(results)}
    assert by_name["small GET, CPU"] == ("0.75", "≤ 0.5", "0.45", "≤ 0.3", "", "≤ 0.6")
    assert by_name["small GET, p99 at half load"] == ("1.50", "≤ 1.0", "0.75", "≤ 1.0", "", "")
    assert by_name["list of 100, CPU"][0] == ""


def test_a_table_is_written_as_markdown() -> None:
    assert publishing.markdown(("", "a"), [("x", "1")]) == "|  | a |\n| --- | --- |\n| x | 1 |"


def test_only_what_is_between_the_marks_is_written_anew(page: Path) -> None:
    publishing.write_between("figures", r"new \1", page)
    text = page.read_text()
    assert text == PAGE.replace("\nold\n", "\n\nnew \\1\n\n")
    publishing.write_between("figures", "newer", page)
    assert page.read_text() == PAGE.replace("\nold\n", "\n\nnewer\n\n")


def test_a_page_without_marks_is_left_alone(page: Path) -> None:
    with pytest.raises(SystemExit, match=r"<!-- growth --> .* once, found it 0 times"):
        publishing.write_between("growth", "new", page)
    assert page.read_text() == PAGE


def test_the_files_are_put_beside_the_page(results: Results, page: Path, tmp_path: Path) -> None:
    chart = tmp_path / "chart.svg"
    chart.write_text("<svg/>")
    choices = Choices(
        {"one endpoint": 1000, "three, round_robin": 1010},
        {"least_request": {OURS: (21.04, 225.0)}},
    )
    more = [
        *publishing.of_guards({"token": 2.34}),
        *publishing.of_observers([("both", 30.04, "+2.1% ± 0.5%")]),
        *publishing.of_balancing(choices),
    ]
    publishing.publish(results, more, [chart], THEN, page)
    assert (page.parent / "chart.svg").read_text() == "<svg/>"
    text = page.read_text()
    assert "2026-01-02, " in text
    assert "load average before the run 0.2." in text
    assert "| token | 2.3 |" in text
    assert "| both | 30.0 | +2.1% ± 0.5% | ≤ 3 % |" in text
    assert "| three, round_robin | 1,010 | 1.010 | ≤ 1.03 |" in text
    assert "| least_request | 21.0 / 225 |  |" in text
    assert text.endswith("\n\nthe rest\n")


def test_the_page_that_is_published_has_the_marks() -> None:
    text = publishing.PAGE.read_text()
    for mark in ("figures", "growth"):
        assert text.count(f"<!-- {mark} -->") == text.count(f"<!-- /{mark} -->") == 1
