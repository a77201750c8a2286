"""The counts of instructions that a change must not exceed."""

from pathlib import Path

import pytest

from benchmarks import recorded
from benchmarks.instructions import FORMS

BEFORE = {"same": 100_000, "varied": 120_000}


def test_counts_are_recorded_for_each_python(tmp_path: Path) -> None:
    file = tmp_path / "counts.json"
    recorded.record({"same": 1, "varied": 2}, "Python 3.11", file)
    recorded.record({"same": 3, "varied": 4}, "Python 3.12", file)
    recorded.record({"same": 5, "varied": 6}, "Python 3.11", file)
    assert recorded.read(file) == {
        "Python 3.11": {"same": 5, "varied": 6},
        "Python 3.12": {"same": 3, "varied": 4},
    }


@pytest.mark.parametrize(
    ("counts", "begin"),
    [
        pytest.param({"same": 100_000, "varied": 120_000}, [], id="equal"),
        pytest.param({"same": 103_000, "varied": 123_600}, [], id="as much as is allowed"),
        pytest.param({"same": 50_000, "varied": 60_000}, [], id="cheaper"),
        pytest.param({"same": 103_001, "varied": 120_000}, ["same: 103,001"], id="one grew"),
        pytest.param({"same": 110_000, "varied": 130_000}, ["same:", "varied:"], id="both grew"),
        pytest.param({"same": 90_000, "varied": 117_001}, ["a request that differs takes 1.30"],
                     id="too far apart"),
    ],
)  # fmt: skip
def test_what_costs_more_is_objected_to(counts: dict[str, int], begin: list[str]) -> None:
    found = recorded.objections(counts, BEFORE)
    assert [text.startswith(start) for text, start in zip(found, begin, strict=True)] == [
        True
    ] * len(begin)


def test_without_a_record_the_two_forms_are_compared_still() -> None:
    assert recorded.objections({"same": 100, "varied": 130}, {}) == []
    assert len(recorded.objections({"same": 100, "varied": 131}, {})) == 1


@pytest.mark.parametrize("text", ["", "[]", '{"a": 1}', '{"a": {"same": "x"}}', '{"a": [1]}'])
def test_a_file_of_another_form_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "counts.json"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"counts\.json: expected an object of counts"):
        recorded.read(file)


def test_the_file_of_the_repository_has_the_forms_that_are_counted() -> None:
    known = recorded.read()
    assert known
    assert {form for counts in known.values() for form in counts} == set(recorded.FORMS)
    assert set(recorded.FORMS) <= set(FORMS)
    assert all(recorded.objections(counts, counts) == [] for counts in known.values())
