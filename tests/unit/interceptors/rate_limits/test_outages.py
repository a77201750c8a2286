"""Limits counted in a store elsewhere, which may be down, or slow, and comes back."""

import asyncio
import logging
from contextlib import suppress
from typing import Any

import pytest
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo

from gateway.call import Handler
from gateway.config.policy import CountBy
from gateway.config.rate_limits import RateLimitOptions
from gateway.interceptors.rate_limits.limits import RateLimits
from gateway.status import Code, StatusError
from tests.support.rate_limits import (
    ADA,
    OK,
    Remote,
    call,
    handler,
    passes,
    rate_limit,
    read_details,
    refusal,
)
from tests.support.recording import AuditLog, Clock


@pytest.fixture
def clock() -> Clock:
    return Clock(1_000_000.0)


def shared(store: Remote, clock: Clock, **options: Any) -> Handler:
    settings = RateLimitOptions.model_validate(options)
    limits = RateLimits(store, settings, AuditLog(), clock)
    return handler(limits, rate_limit(1, 60.0), rate_limit(9, 60.0, CountBy.ADDRESS))


async def test_all_limits_of_a_method_are_asked_at_once(clock: Clock) -> None:
    store = Remote(clock)
    await shared(store, clock)(call(ADA))
    assert [len(demands) for demands in store.asked] == [2]


async def test_a_store_that_is_down_lets_calls_through_where_it_is_to(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    store = Remote(clock)
    handle = shared(store, clock, on_store_failure="open")
    store.fails = True
    with caplog.at_level(logging.WARNING, "gateway"):
        for _ in range(3):
            one = call(ADA)
            assert await handle(one) is OK
            assert one.response_headers == []
            clock.now_s += 1
    (record,) = caplog.records
    assert record.getMessage() == (
        "rate limits cannot be counted, so calls are let through uncounted: "
        "redis at somewhere: ConnectionError"
    )


async def test_a_store_that_is_down_refuses_calls_where_it_is_to(clock: Clock) -> None:
    store = Remote(clock)
    handle = shared(store, clock, on_store_failure="closed")
    store.fails = True
    for _ in range(2):
        error = await refusal(handle, call(ADA))
        assert (error.code, error.http_status) == (Code.UNAVAILABLE, 503)
        assert read_details(error, ErrorInfo(), RetryInfo())[1].retry_delay.seconds == 1
        assert "redis" not in error.message


@pytest.mark.parametrize("mode", ["open", "closed"])
async def test_a_store_that_comes_back_counts_again(
    clock: Clock, caplog: pytest.LogCaptureFixture, mode: str
) -> None:
    store = Remote(clock)
    handle = shared(store, clock, on_store_failure=mode)
    store.fails = True
    with suppress(StatusError):
        await handle(call(ADA))
    store.fails = False
    caplog.clear()
    clock.now_s += 0.2
    with caplog.at_level(logging.WARNING, "gateway"):
        assert await passes(handle, call(ADA))
        assert not await passes(handle, call(ADA))
    assert [r.getMessage() for r in caplog.records] == ["rate limits are counted again"]


async def test_a_store_that_is_down_is_hardly_asked(clock: Clock) -> None:
    store = Remote(clock)
    handle = shared(store, clock)
    store.fails = True
    for _ in range(100):
        await handle(call(ADA))
        clock.now_s += 0.01
    assert len(store.asked) <= 11


async def test_nobody_waits_long_for_a_slow_store(clock: Clock) -> None:
    store = Remote(clock)
    handle = shared(store, clock, timeout_s=0.02)
    store.delay_s = 30.0
    async with asyncio.timeout(5):
        assert await handle(call(ADA)) is OK
        for _ in range(50):
            assert await handle(call(ADA)) is OK
    assert len(store.asked) == 1
