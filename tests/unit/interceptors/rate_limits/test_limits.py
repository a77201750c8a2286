"""How often callers may call: whose calls count together, and what they are told."""

import pytest
from google.rpc.error_details_pb2 import ErrorInfo, QuotaFailure, RetryInfo

from gateway.call import Call, Handler, Interceptor, Principal, Reply, chain
from gateway.config.policy import CountBy, LimitAlgorithm, RateLimit
from gateway.config.rate_limits import RateLimitOptions
from gateway.interceptors.rate_limits.limits import RateLimits
from gateway.policy.options import MethodPolicy
from gateway.status import Code
from gateway.stores.memory import MemoryStore
from tests.support.rate_limits import (
    ADA,
    METHOD,
    OTHER,
    Remote,
    answer,
    call,
    handler,
    of_tenant,
    passes,
    rate_limit,
    read_details,
    refusal,
)
from tests.support.recording import AuditLog, Clock


@pytest.fixture
def clock() -> Clock:
    return Clock(1_000_000.0)


@pytest.fixture(params=["local", "shared"])
def limits(request: pytest.FixtureRequest, clock: Clock) -> RateLimits:
    """The same promises wherever the counters are."""
    counters = MemoryStore(clock) if request.param == "local" else Remote(clock)
    return RateLimits(counters, RateLimitOptions(), AuditLog(), clock)


@pytest.mark.parametrize("algorithm", LimitAlgorithm)
async def test_what_is_allowed_passes_and_no_more(
    limits: RateLimits, clock: Clock, algorithm: LimitAlgorithm
) -> None:
    handle = handler(limits, rate_limit(3, 60.0, algorithm=algorithm))
    assert [await passes(handle, call(ADA)) for _ in range(5)] == [True] * 3 + [False] * 2
    clock.now_s += 120
    assert await passes(handle, call(ADA))


async def test_a_method_without_limits_has_no_guard(limits: RateLimits) -> None:
    assert limits.guards(METHOD, MethodPolicy()) == ()


async def test_a_call_that_costs_more_takes_more(limits: RateLimits) -> None:
    handle = handler(limits, rate_limit(5, 60.0), cost=2)
    assert [await passes(handle, call(ADA)) for _ in range(3)] == [True, True, False]


BOB = Principal("users/bob", kind="token", credential="t2")
ADA_AGAIN = Principal("users/ada", kind="token", credential="t3")
ADDRESS_OF_ADA = Principal("10.0.0.1")
KEY = Principal("users/ada", kind="key", credential="t1")
LONG, LONGER = Principal("a" * 200 + "x"), Principal("a" * 200 + "y")
BY_TENANT = rate_limit(1, 60.0, CountBy.HEADER, "x-tenant")


@pytest.mark.parametrize(
    ("limit", "first", "second", "together"),
    [
        pytest.param(rate_limit(1, 60.0), call(ADA), call(ADA_AGAIN), True, id="one principal"),
        pytest.param(rate_limit(1, 60.0), call(ADA), call(BOB), False, id="two principals"),
        pytest.param(
            rate_limit(1, 60.0), call(ADA), call(ADA, peer="10.0.0.2"), True, id="one, two places"
        ),
        pytest.param(rate_limit(1, 60.0), call(), call(), True, id="nobody, one address"),
        pytest.param(
            rate_limit(1, 60.0), call(), call(peer="10.0.0.2"), False, id="nobody, two addresses"
        ),
        pytest.param(
            rate_limit(1, 60.0), call(), call(ADDRESS_OF_ADA), False, id="one named as an address"
        ),
        pytest.param(rate_limit(1, 60.0), call(LONG), call(LONGER), False, id="long names differ"),
        pytest.param(rate_limit(1, 60.0), call(LONG), call(LONG), True, id="a long name"),
        pytest.param(
            rate_limit(1, 60.0, CountBy.CREDENTIAL),
            call(ADA),
            call(ADA_AGAIN),
            False,
            id="two credentials of one principal",
        ),
        pytest.param(
            rate_limit(1, 60.0, CountBy.CREDENTIAL), call(ADA), call(KEY), False, id="two kinds"
        ),
        pytest.param(
            rate_limit(1, 60.0, CountBy.CREDENTIAL), call(ADA), call(ADA), True, id="one credential"
        ),
        pytest.param(
            rate_limit(1, 60.0, CountBy.CREDENTIAL), call(), call(), True, id="no credential"
        ),
        pytest.param(
            rate_limit(1, 60.0, CountBy.ADDRESS), call(ADA), call(BOB), True, id="one address"
        ),
        pytest.param(
            rate_limit(1, 60.0, CountBy.ADDRESS),
            call(peer="2001:db8:1:2::1"),
            call(peer="2001:db8:1:2:ffff::9"),
            True,
            id="one IPv6 network",
        ),
        pytest.param(
            rate_limit(1, 60.0, CountBy.ADDRESS),
            call(peer="2001:db8:1:2::1"),
            call(peer="2001:db8:1:3::1"),
            False,
            id="two IPv6 networks",
        ),
        pytest.param(
            rate_limit(1, 60.0, CountBy.ADDRESS),
            call(peer="::ffff:10.0.0.1"),
            call(peer="10.0.0.1"),
            True,
            id="IPv4 in IPv6 clothes",
        ),
        pytest.param(
            rate_limit(1, 60.0, CountBy.ADDRESS),
            call(peer="::ffff:10.0.0.1"),
            call(peer="::ffff:10.0.0.2"),
            False,
            id="two such",
        ),
        pytest.param(
            rate_limit(1, 60.0, CountBy.ADDRESS),
            call(peer=""),
            call(peer=""),
            True,
            id="no address",
        ),
        pytest.param(BY_TENANT, of_tenant("a"), of_tenant("a"), True, id="one header"),
        pytest.param(BY_TENANT, of_tenant("a"), of_tenant("b"), False, id="two headers"),
        pytest.param(BY_TENANT, call(ADA), call(BOB), True, id="no header: the address"),
        pytest.param(
            rate_limit(1, 60.0, CountBy.METHOD),
            call(ADA),
            call(BOB, peer="10.0.0.2"),
            True,
            id="everyone",
        ),
    ],
)
async def test_whose_calls_are_counted_together(
    limits: RateLimits, limit: RateLimit, first: Call, second: Call, together: bool
) -> None:
    handle = handler(limits, limit)
    assert await passes(handle, first)
    assert await passes(handle, second) is not together


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        pytest.param(rate_limit(1, 60.0), rate_limit(1, 60.0), False, id="no name"),
        pytest.param(rate_limit(1, 60.0, name="n"), rate_limit(1, 60.0, name="n"), True, id="one"),
        pytest.param(rate_limit(1, 60.0, name="n"), rate_limit(1, 60.0, name="m"), False, id="two"),
        pytest.param(
            rate_limit(1, 60.0, name="n"), rate_limit(2, 60.0, name="n"), False, id="one, two sizes"
        ),
        pytest.param(
            rate_limit(1, 60.0, CountBy.METHOD, name="n"),
            rate_limit(1, 60.0, CountBy.METHOD, name="n"),
            True,
            id="one, of everyone",
        ),
    ],
)
async def test_methods_share_the_counters_of_a_name(
    limits: RateLimits, one: RateLimit, other: RateLimit, together: bool
) -> None:
    assert await passes(handler(limits, one), call(ADA))
    assert await passes(handler(limits, other, method=OTHER), call(ADA)) is not together


async def test_all_limits_hold_at_once_and_one_that_refuses_leaves_the_others_alone(
    limits: RateLimits,
) -> None:
    wide, narrow = rate_limit(4, 60.0, CountBy.METHOD), rate_limit(1, 60.0)
    handle = handler(limits, wide, narrow)
    assert await passes(handle, call(ADA))
    assert not await passes(handle, call(ADA))
    assert [await passes(handle, call(Principal(f"p{n}"))) for n in range(4)] == [True] * 3 + [
        False
    ]


@pytest.mark.parametrize(
    ("count_by", "by", "name"),
    [
        (CountBy.PRINCIPAL, "principal", "ada"),
        (CountBy.PRINCIPAL, "principal", "a" * 99),
        (CountBy.CREDENTIAL, "key", "key-1"),
        (CountBy.CREDENTIAL, "address", "2001:db8::7"),
        (CountBy.PRINCIPAL, "address", "2001:db8::8"),
        (CountBy.ADDRESS, "address", "2001:db8::9"),
    ],
)
async def test_the_counters_of_one_caller_are_made_new(
    limits: RateLimits, count_by: CountBy, by: str, name: str
) -> None:
    def from_caller(name: str, number: int) -> Call:
        if by == "address":
            return call(peer=name or f"10.0.0.{number}")
        of_key = by == "key"
        owner, credential = ("ada", name) if of_key else (name, "key-1")
        return call(Principal(owner or "eve", kind="key", credential=credential or "key-2"))

    handle = handler(limits, rate_limit(1, 60.0, count_by))
    one, other = from_caller(name, 1), from_caller("", 2)
    assert [await passes(handle, each) for each in (one, other, one, other)] == [
        True,
        True,
        False,
        False,
    ]
    await limits.reset(by, name)
    assert [await passes(handle, each) for each in (one, other)] == [True, False]
    await limits.reset("", "")
    assert [await passes(handle, each) for each in (one, other)] == [True, True]


async def test_a_limit_said_twice_counts_once(limits: RateLimits) -> None:
    handle = handler(limits, rate_limit(2, 60.0), rate_limit(2, 60.0))
    assert [await passes(handle, call(ADA)) for _ in range(3)] == [True, True, False]


# What callers are told


async def test_every_answer_tells_what_is_left(limits: RateLimits, clock: Clock) -> None:
    handle = handler(limits, rate_limit(10, 60.0, name="default"))
    told = []
    for _ in range(2):
        one = call(ADA)
        await handle(one)
        told.append(dict(one.response_headers))
        clock.now_s += 1
    assert told == [
        {"RateLimit-Policy": '"default";q=10;w=60', "RateLimit": '"default";r=9;t=6'},
        {"RateLimit-Policy": '"default";q=10;w=60', "RateLimit": '"default";r=8;t=11'},
    ]


async def test_several_limits_are_told_in_one_list(limits: RateLimits) -> None:
    handle = handler(
        limits,
        rate_limit(10, 1.0, name="burst"),
        rate_limit(1000, 86400.0, algorithm=LimitAlgorithm.SLIDING_WINDOW, name="daily"),
    )
    one = call(ADA)
    await handle(one)
    told = dict(one.response_headers)
    assert told["RateLimit-Policy"] == '"burst";q=10;w=1, "daily";q=1000;w=86400'
    assert told["RateLimit"].startswith('"burst";r=9;t=1, "daily";r=999;t=')


@pytest.mark.parametrize(
    ("rates", "policy"),
    [
        pytest.param([rate_limit(5, 60.0)], '"principal-60s";q=5;w=60', id="unnamed"),
        pytest.param([BY_TENANT], '"x-tenant-60s";q=1;w=60', id="by header"),
        pytest.param([rate_limit(5, 0.5)], '"principal-0.5s";q=5', id="no whole seconds"),
        pytest.param(
            [rate_limit(5, 60.0), rate_limit(6, 60.0)],
            '"principal-60s";q=5;w=60, "principal-60s-2";q=6;w=60',
            id="alike",
        ),
        pytest.param(
            [rate_limit(5, 60.0, name='a"b\\c\u00e9\n')], '"a\\"b\\\\c??";q=5;w=60', id="odd name"
        ),
    ],
)
async def test_what_limits_are_called(
    limits: RateLimits, rates: list[RateLimit], policy: str
) -> None:
    one = call(ADA)
    await handler(limits, *rates)(one)
    assert dict(one.response_headers)["RateLimit-Policy"] == policy


async def test_headers_can_be_left_out(clock: Clock) -> None:
    options = RateLimitOptions(headers=False)
    for counters in (MemoryStore(clock), Remote(clock)):
        one = call(ADA)
        await handler(RateLimits(counters, options, AuditLog(), clock), rate_limit(5))(one)
        assert one.response_headers == []


async def test_a_refusal_says_what_was_reached_and_when_to_come_back(
    limits: RateLimits, clock: Clock
) -> None:
    handle = handler(limits, rate_limit(2, 61.0, name="books"))
    await handle(call(ADA))
    await handle(call(ADA))
    clock.now_s += 0.25
    one = call(ADA)
    error = await refusal(handle, one)
    assert error.code is Code.RESOURCE_EXHAUSTED
    assert error.http_status == 429
    assert error.message == "too many calls: the limit books is reached; try again in 31 s"
    quota, info, retry = read_details(error, QuotaFailure(), ErrorInfo(), RetryInfo())
    assert [(v.subject, v.description) for v in quota.violations] == [
        ("principal:users/ada", "books: 2 in 61 s")
    ]
    assert info.reason == "RATE_LIMIT_EXCEEDED"
    assert dict(info.metadata) == {
        "limit": "books", "service": "front.v1.Front", "method": "GetItem",
    }  # fmt: skip
    assert retry.retry_delay.ToMilliseconds() == 30250
    assert dict(one.response_headers)["RateLimit"] == '"books";r=0;t=31'


@pytest.mark.parametrize(
    ("limit", "subject"),
    [
        pytest.param(rate_limit(1, 9.0), "address:10.0.0.1", id="nobody"),
        pytest.param(rate_limit(1, 9.0, CountBy.ADDRESS), "address:10.0.0.1", id="address"),
        pytest.param(rate_limit(1, 9.0, CountBy.CREDENTIAL), "credential", id="credential"),
        pytest.param(rate_limit(1, 9.0, CountBy.METHOD), "method", id="method"),
        pytest.param(
            rate_limit(1, 9.0, CountBy.HEADER, "x-api-key"), "header:x-api-key", id="header"
        ),
    ],
)
async def test_a_refusal_names_whose_calls_were_counted_and_shows_no_secret(
    limits: RateLimits, limit: RateLimit, subject: str
) -> None:
    handle = handler(limits, limit)
    await handle(call(headers={"x-api-key": "s3cret"}))
    error = await refusal(handle, call(headers={"x-api-key": "s3cret"}))
    quota = read_details(error, QuotaFailure())[0]
    assert [v.subject for v in quota.violations] == [subject]
    assert "s3cret" not in f"{error.message}{quota}"


async def test_who_knocks_a_thousand_times_is_written_down_once(clock: Clock) -> None:
    audit_log = AuditLog()
    limits = RateLimits(MemoryStore(clock), RateLimitOptions(), audit_log, clock)
    handle = handler(limits, rate_limit(1, 60.0, name="books"))
    await handle(call(ADA))
    for _ in range(1000):
        await passes(handle, call(ADA))
    assert audit_log.events == [
        (
            "policy.refused",
            {
                "principal": "users/ada",
                "credential": "t1",
                "peer": "10.0.0.1",
                "rpc": "front.v1.Front/GetItem",
                "rule": "rate limit books",
            },
        )
    ]
    clock.now_s += 61
    await handle(call(ADA))
    assert not await passes(handle, call(ADA))
    assert len(audit_log.events) == 2


async def test_a_guard_takes_any_handler(limits: RateLimits) -> None:
    """Guards may be plain functions; what stands behind them need not know."""
    seen: list[str] = []

    class SelectedInterceptor:
        async def __call__(self, call: Call, proceed: Handler) -> Reply:
            seen.append(call.method.name)
            return await proceed(call)

    policy = MethodPolicy(rate_limits=(rate_limit(1, 60.0),))
    guards: list[Interceptor] = [*limits.guards(METHOD, policy), SelectedInterceptor()]
    handle = chain(guards, answer)
    assert await passes(handle, call(ADA))
    assert not await passes(handle, call(ADA))
    assert seen == ["GetItem"]
