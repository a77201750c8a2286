"""Outlier detection with a clock of its own, against the figures of gRFC A50."""

from collections import Counter, deque
from random import Random
from typing import Any

import pytest

from gateway.config.outliers import OutlierOptions
from gateway.config.upstreams import Upstream
from gateway.upstream.outliers import Outliers, Tally

ALL = {"max_ejection_percent": 100}


def detector(count: int, **options: Any) -> tuple[Outliers, list[Tally]]:
    outliers = Outliers(OutlierOptions.model_validate(options), Random(1))
    return outliers, [outliers.add() for _ in range(count)]


def calls(outliers: Outliers, tally: Tally, successes: int, failures: int) -> None:
    """So many calls, with no row of failures that matters."""
    for _ in range(failures):
        outliers.failed(tally, 0.0)
        tally.in_a_row = 0
    for _ in range(successes):
        outliers.succeeded(tally)


def ejected(outliers: Outliers, tallies: list[Tally], now_s: float = 10.0) -> list[int]:
    found, _ = outliers.sweep(now_s)
    return sorted(tallies.index(one.tally) for one in found)


def test_defaults_are_those_of_a50() -> None:
    options = OutlierOptions.model_validate(
        {"success_rate_ejection": {}, "failure_percentage_ejection": {}}
    )
    assert options.model_dump(exclude={"codes", "consecutive", "min_deadline_s"}) == {
        "interval_s": 10,
        "base_ejection_time_s": 30,
        "max_ejection_time_s": 300,
        "max_ejection_percent": 10,
        "success_rate_ejection": {
            "stdev_factor": 1900,
            "enforcement_percentage": 100,
            "minimum_hosts": 5,
            "request_volume": 100,
        },
        "failure_percentage_ejection": {
            "threshold": 85,
            "enforcement_percentage": 100,
            "minimum_hosts": 5,
            "request_volume": 50,
        },
    }


def test_a_low_success_rate_is_an_outlier() -> None:
    # Rates 1, 1, 1, 1, .5: mean .9, deviation .2, so all below .52 are outliers.
    outliers, tallies = detector(5, success_rate_ejection={})
    for tally in tallies[:4]:
        calls(outliers, tally, 100, 0)
    calls(outliers, tallies[4], 50, 50)
    assert ejected(outliers, tallies) == [4]
    assert tallies[4].reason == "50.0% of its calls succeed, of all 90.0%"


@pytest.mark.parametrize(("factor", "found"), [(2001, []), (1999, [4])])
def test_only_a_success_rate_below_the_threshold_is_an_outlier(
    factor: int, found: list[int]
) -> None:
    # The threshold is .9 - 2.001 * .2 = .4998, and .5 is not below it; but it is below .5002.
    outliers, tallies = detector(5, success_rate_ejection={"stdev_factor": factor})
    for tally in tallies[:4]:
        calls(outliers, tally, 100, 0)
    calls(outliers, tallies[4], 50, 50)
    assert ejected(outliers, tallies) == found


@pytest.mark.parametrize("algorithm", ["success_rate_ejection", "failure_percentage_ejection"])
@pytest.mark.parametrize(("hosts", "volume"), [(4, 100), (5, 99)])
def test_too_few_endpoints_or_calls_are_not_judged(algorithm: str, hosts: int, volume: int) -> None:
    outliers, tallies = detector(hosts, **{algorithm: {"request_volume": 100}})
    for tally in tallies[1:]:
        calls(outliers, tally, volume, 0)
    calls(outliers, tallies[0], 0, volume)
    assert ejected(outliers, tallies) == []


@pytest.mark.parametrize(("failures", "found"), [(84, []), (85, [0]), (100, [0])])
def test_a_percentage_of_failures_counts_from_the_threshold_on(
    failures: int, found: list[int]
) -> None:
    outliers, tallies = detector(5, failure_percentage_ejection={})
    calls(outliers, tallies[0], 100 - failures, failures)
    for tally in tallies[1:]:
        calls(outliers, tally, 100, 0)
    assert ejected(outliers, tallies) == found


def test_only_calls_since_the_last_sweep_count() -> None:
    outliers, tallies = detector(5, failure_percentage_ejection={})
    for tally in tallies:
        calls(outliers, tally, 0, 49)
    assert ejected(outliers, tallies) == []
    for tally in tallies:
        calls(outliers, tally, 0, 49)
    assert ejected(outliers, tallies) == []


def test_failures_in_a_row_eject_at_once() -> None:
    outliers, tallies = detector(3)
    assert [outliers.failed(tallies[0], 1.0) for _ in range(4)] == [None] * 4
    outliers.succeeded(tallies[0])
    assert [outliers.failed(tallies[0], 1.0) for _ in range(4)] == [None] * 4
    ejection = outliers.failed(tallies[0], 1.0)
    assert ejection is not None
    assert ejection.method == "consecutive_failures"
    assert tallies[0].reason == "5 failures in a row"


def test_failures_in_a_row_eject_nobody_while_all_fail() -> None:
    outliers, tallies = detector(3)
    for _ in range(10):
        assert [outliers.failed(tally, 1.0) for tally in tallies] == [None] * 3
    outliers.succeeded(tallies[2])
    assert outliers.failed(tallies[0], 1.0) is not None


def test_without_a_setting_an_endpoint_that_recovers_gets_calls_within_10_s() -> None:
    options = Upstream(target="localhost:50051").outlier
    assert options is not None
    outliers = Outliers(options, Random(1))
    tally, _ = outliers.add(), outliers.add()
    now_s = 0.0
    for _ in range(10):  # ejected again and again, each time for longer
        for _ in range(5):
            outliers.failed(tally, now_s)
        assert tally.ejected_at_s == now_s
        assert outliers.ends_at_s(tally) + options.interval_s - now_s < 10
        now_s = outliers.ends_at_s(tally) + options.interval_s
        assert outliers.sweep(now_s)[1] == [tally]


def test_failures_in_a_row_can_be_switched_off() -> None:
    outliers, tallies = detector(3, consecutive=None)
    assert [outliers.failed(tallies[0], 1.0) for _ in range(100)] == [None] * 100


@pytest.mark.parametrize(("percent", "most"), [(0, 0), (10, 1), (50, 5), (51, 6), (100, 9)])
def test_the_share_is_limited_but_for_the_first_and_the_last_stays(percent: int, most: int) -> None:
    outliers, tallies = detector(10, max_ejection_percent=percent, consecutive=1)
    found = [outliers.failed(tally, 1.0) for tally in tallies]
    assert sum(one is not None for one in found) == most


def test_an_ejection_ends_after_its_time_which_grows_with_each() -> None:
    outliers, (tally, _) = detector(2, consecutive=1)
    now_s = 0.0
    for times in (1, 2, 3, 4):
        assert outliers.failed(tally, now_s) is not None
        assert outliers.sweep(now_s + 30 * times)[1] == []
        assert outliers.sweep(now_s + 30 * times + 0.1)[1] == [tally]
        now_s += 30 * times + 0.1


def test_no_ejection_is_longer_than_the_longest() -> None:
    outliers, (tally, _) = detector(2, consecutive=1, max_ejection_time_s=50)
    for now_s in (0.0, 1000.0):
        assert outliers.failed(tally, now_s) is not None
        assert outliers.sweep(now_s + 50.1)[1] == [tally]
    short, (tally, _) = detector(2, consecutive=1, max_ejection_time_s=5)
    assert short.failed(tally, 0.0) is not None
    assert short.sweep(29.9)[1] == [], "base_ejection_time_s, if that is longer"


def test_each_sweep_without_an_ejection_shortens_the_next() -> None:
    outliers, (tally, _) = detector(2, consecutive=1)
    outliers.failed(tally, 0.0)
    outliers.sweep(31.0)
    assert tally.multiplier == 1
    outliers.sweep(41.0)
    assert tally.multiplier == 0
    outliers.sweep(51.0)
    assert tally.multiplier == 0


def test_a_percentage_of_outliers_can_be_spared() -> None:
    counted: Counter[int] = Counter()
    rule = {"enforcement_percentage": 30}
    outliers, tallies = detector(5, failure_percentage_ejection=rule, consecutive=None)
    for _ in range(1000):
        calls(outliers, tallies[0], 0, 50)
        for tally in tallies[1:]:
            calls(outliers, tally, 50, 0)
        counted[len(ejected(outliers, tallies))] += 1
        outliers.restore(tallies[0])
    assert counted[1] == pytest.approx(300, abs=60)


def test_each_outlier_that_is_spared_is_told_with_the_reason() -> None:
    told: list[tuple[str, str]] = []
    rule = {"enforcement_percentage": 0}
    outliers, tallies = detector(5, failure_percentage_ejection=rule, consecutive=None)
    outliers.spared = lambda *found: told.append(found)
    calls(outliers, tallies[0], 0, 50)
    for tally in tallies[1:]:
        calls(outliers, tally, 50, 0)
    assert ejected(outliers, tallies) == []
    assert told == [("failure_percentage", "enforcement_percentage")]


def test_a_row_of_failures_that_is_spared_is_told_once() -> None:
    told: list[tuple[str, str]] = []
    outliers, tallies = detector(3, max_ejection_percent=10, consecutive=2)
    outliers.spared = lambda *found: told.append(found)
    for tally in tallies[:2]:
        for _ in range(5):
            outliers.failed(tally, 1.0)
    assert told == [("consecutive_failures", "max_ejection_overflow")]


def test_an_ejected_endpoint_is_not_ejected_again_for_calls_from_before() -> None:
    outliers, (tally, _) = detector(2, consecutive=1, **ALL)
    assert outliers.failed(tally, 0.0) is not None
    assert outliers.failed(tally, 1.0) is None
    assert tally.multiplier == 1


def late_calls(tally: Tally, outliers: Outliers, until_s: float) -> list[int]:
    """The calls to a slow endpoint, one of five that take turns, until each of its ejections.

    60 calls a second, of which each fails that the slow one has not answered after 0.1 s.
    """
    failing: deque[float] = deque()
    counts, count = [], 0
    sweep_s = 7.0
    for number in range(int(until_s * 60)):
        now_s = number / 60
        while failing and failing[0] <= now_s:
            if outliers.failed(tally, failing.popleft()) is not None:
                counts.append(count)
                count = 0
        if sweep_s <= now_s:
            outliers.sweep(sweep_s)
            sweep_s += 10
        if number % 5 == 0 and tally.ejected_at_s is None:
            failing.append(now_s + 0.1)
            count += 1
    return counts


def test_an_endpoint_that_stays_slow_delays_few_calls_when_it_gets_some_again() -> None:
    outliers, (tally, *_) = detector(5, max_ejection_percent=20)
    # Five fail before the first ejection, and later one; in 0.1 s, one more has begun.
    assert late_calls(tally, outliers, 300) == [6, 2, 2, 2]
    assert tally.reason == "11 failures in a row"


def test_one_success_after_an_ejection_ends_the_row() -> None:
    outliers, (tally, _) = detector(2)
    for _ in range(5):
        outliers.failed(tally, 0.0)
    assert outliers.sweep(31.0)[1] == [tally]
    outliers.succeeded(tally)
    assert [outliers.failed(tally, 32.0) for _ in range(4)] == [None] * 4
    assert outliers.failed(tally, 32.0) is not None


def test_a_passed_health_check_ends_the_row() -> None:
    outliers, (tally, _) = detector(2)
    for _ in range(5):
        outliers.failed(tally, 0.0)
    outliers.restore(tally)
    assert [outliers.failed(tally, 1.0) for _ in range(4)] == [None] * 4
