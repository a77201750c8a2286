"""The requests of a benchmark: each differs from the others, and all are the same in each run."""

from itertools import islice

import pytest

from benchmarks.requests import Request, first, requests
from benchmarks.scenarios import PATCH, SCENARIOS, SMALL_GET, Scenario

VARIED = [scenario for scenario in SCENARIOS if not scenario.repeats]


def some(scenario: Scenario, count: int = 40) -> list[Request]:
    return [*islice(requests(scenario), count)]


@pytest.mark.parametrize("scenario", VARIED, ids=lambda scenario: scenario.name)
def test_no_two_requests_of_a_scenario_are_equal(scenario: Scenario) -> None:
    made = [one.wire("a") for one in some(scenario)]
    assert len({*made}) == len(made)
    assert made == [one.wire("a") for one in some(scenario)]


@pytest.mark.parametrize("scenario", VARIED, ids=lambda scenario: scenario.name)
def test_clients_send_headers_of_their_own_and_those_of_the_scenario(scenario: Scenario) -> None:
    for one in some(scenario):
        names = [name.lower() for name in one.headers]
        assert len({*names}) == len(names)
        assert 7 <= len(names) <= 14
        assert {"traceparent", "x-request-id"} <= {*names}
        assert scenario.headers.items() <= one.headers.items()


def test_a_scenario_that_repeats_has_one_request() -> None:
    (repeated,) = (one for one in SCENARIOS if one.name == "small GET, repeated")
    assert len({one.wire("a") for one in some(repeated)}) == 1
    assert first(repeated).target == "/v1/shelves/7/items/42"


def test_the_bytes_of_a_request_are_http() -> None:
    head, _, body = first(PATCH).wire("gateway:80").partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0].startswith(b"PATCH /v1/shelves/")
    assert lines[0].endswith(b" HTTP/1.1")
    assert lines[1] == b"Host: gateway:80"
    assert b"Content-Length: %d" % len(body) in lines
    assert b"{item}" not in body


def test_paths_differ_in_each_part() -> None:
    parts = [one.target.split("/") for one in some(SMALL_GET)]
    assert len({part[3] for part in parts}) > 30
    assert len({part[5] for part in parts}) > 30
