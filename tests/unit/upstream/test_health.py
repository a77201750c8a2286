"""The verdict on an endpoint, from the results of its checks."""

from gateway.config.health_checks import HealthCheckOptions
from gateway.upstream.health import Verdict


def test_the_first_result_decides_alone() -> None:
    for reason in ("", "its health is NOT_SERVING"):
        verdict = Verdict(HealthCheckOptions())
        assert verdict.checked(reason)
        assert (verdict.is_healthy, verdict.reason) == (not reason, reason)


def test_later_results_count_in_a_row_three_against_and_two_for() -> None:
    verdict = Verdict(HealthCheckOptions())
    verdict.checked("")
    assert [verdict.checked(one) for one in ("a", "b", "", "a", "b")] == [False] * 5
    assert verdict.is_healthy
    assert verdict.checked("c")
    assert (verdict.is_healthy, verdict.reason) == (False, "c")
    assert [verdict.checked(one) for one in ("", "d", "")] == [False] * 3
    assert verdict.checked("")
    assert (verdict.is_healthy, verdict.reason) == (True, "")


def test_a_report_decides_at_once() -> None:
    verdict = Verdict(HealthCheckOptions())
    assert verdict.decided("")
    assert verdict.decided("its health is NOT_SERVING")
    assert not verdict.decided("its health is NOT_SERVING")
    assert verdict.decided("")
