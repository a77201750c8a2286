"""Limits that cannot be held are found before anyone calls."""

import pytest

from gateway.config.policy import CountBy, LimitAlgorithm
from gateway.interceptors.rate_limits.rules import RateLimitError, check_rate_limits, counters_of
from gateway.policy.options import MethodPolicy
from gateway.stores.base import SlidingWindow, TokenBucket
from tests.support.front_end import schema
from tests.support.rate_limits import rate_limit

GET = schema().methods["front.v1.Front.GetItem"]
CREATE = schema().methods["front.v1.Front.CreateItem"]


def test_limits_that_agree_are_let_be() -> None:
    shared = rate_limit(5, 60.0, name="books")
    check_rate_limits(
        {
            GET: MethodPolicy(rate_limits=(shared, rate_limit(1, 1.0)), cost=1),
            CREATE: MethodPolicy(rate_limits=(shared, rate_limit(9, 1.0)), cost=5),
        }
    )


@pytest.mark.parametrize(
    ("get", "create", "message"),
    [
        pytest.param(
            MethodPolicy(rate_limits=(rate_limit(4),), cost=5),
            MethodPolicy(),
            "front.v1.Front.GetItem: a call costs 5, but its limit of 4 is lower: "
            "lower cost or raise limit",
            id="no call can pass",
        ),
        pytest.param(
            MethodPolicy(rate_limits=(rate_limit(4, 60.0, name="n"),)),
            MethodPolicy(rate_limits=(rate_limit(5, 60.0, name="n"),)),
            "front.v1.Front.CreateItem: its limit n differs from that of front.v1.Front.GetItem: "
            "limits that share a name must be equal, or have different names",
            id="one name, two sizes",
        ),
    ],
)
def test_limits_that_cannot_be_held_are_refused(
    get: MethodPolicy, create: MethodPolicy, message: str
) -> None:
    with pytest.raises(RateLimitError) as caught:
        check_rate_limits({GET: get, CREATE: create})
    assert str(caught.value) == message


def test_all_that_is_wrong_is_said_at_once() -> None:
    both = MethodPolicy(rate_limits=(rate_limit(1),), cost=2)
    with pytest.raises(RateLimitError) as caught:
        check_rate_limits({GET: both, CREATE: both})
    assert len(str(caught.value).splitlines()) == 2


def test_a_limit_that_is_changed_starts_afresh() -> None:
    sizes = [rate_limit(5, 60.0), rate_limit(6, 60.0), rate_limit(5, 61.0), rate_limit(5, 60.0)]
    sizes[3:] = [rate_limit(5, 60.0, algorithm=LimitAlgorithm.SLIDING_WINDOW)]
    prefixes = [counters_of("a.B.C", [limit])[0].prefix for limit in sizes]
    assert len(set(prefixes)) == 4


def test_rules_know_their_arithmetic() -> None:
    limits = [rate_limit(5, 60.0), rate_limit(6, 1.0, algorithm=LimitAlgorithm.SLIDING_WINDOW)]
    assert [rule.limit for rule in counters_of("a.B.C", limits)] == [
        TokenBucket(5, 60.0),
        SlidingWindow(6, 1.0),
    ]


def test_two_headers_are_two_limits() -> None:
    limits = [rate_limit(5, 60.0, CountBy.HEADER, name) for name in ("x-a", "x-b")]
    assert [rule.label for rule in counters_of("a.B.C", limits)] == ["x-a-60s", "x-b-60s"]
