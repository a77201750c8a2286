"""Calls that are sent to several real servers, of which the first answer counts."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from pydantic import ValidationError

from gateway.config.upstreams import Upstream
from gateway.status import Attempt, Code
from gateway.upstream.channels.channel import Channel
from tests.support.balanced import balanced, safe, states
from tests.support.calls import failure
from tests.support.grpc_backend import method
from tests.support.polling import until
from tests.support.upstream_server import Server

PREVIOUS = "grpc-previous-rpc-attempts"
LONG_S = 30.0


@asynccontextmanager
async def hedged(
    count: int, delay_s: float = 0.05, settings: dict[str, Any] | None = None, **policy: Any
) -> AsyncIterator[tuple[list[Server], Channel]]:
    hedging = {"hedging_delay_s": delay_s, **policy}
    async with balanced(count, hedging_policy=hedging, **(settings or {})) as (servers, channel):
        for one in servers:
            one.calls = 0
            one.seen.clear()
        yield servers, channel


def calls(servers: Sequence[Server]) -> list[int]:
    return sorted(one.calls for one in servers)


async def test_a_second_server_answers_for_one_that_is_slow_and_the_first_is_cancelled(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "gateway.upstream")
    async with hedged(2) as (servers, channel):
        slow, quick = servers
        slow.pause()
        answers = [(await channel.call(safe("Name"), b"", [], 20)).message for _ in range(4)]
        assert answers == [quick.name] * 4
        assert slow.calls >= 2
        await until(lambda: slow.waiting == 0)  # each is cancelled, though nobody lets it go on
        second = [one for one in quick.seen if PREVIOUS in one]
        assert {one[PREVIOUS] for one in second} == {"1"}
        assert all(PREVIOUS not in one for one in slow.seen)
        assert {state for state, _ in states(channel).values()} == {"ready"}
        assert {one.in_flight for one in channel.report()} == {0}  # type: ignore[attr-defined]
    events = [getattr(one, "gateway_event", "") for one in caplog.records]
    assert events.count("gateway.upstream.call_hedged") == slow.calls


async def test_a_reply_and_a_failure_tell_of_the_attempts() -> None:
    async with hedged(2) as ((slow, quick), channel):
        slow.pause()
        told = [tried((await channel.call(safe("Name"), b"", [], 20)).attempts) for _ in range(4)]
        lost = (slow.target, 0, Code.CANCELLED)
        assert set(told) == {(), (lost, (quick.target, 1, Code.OK))}
        quick.fails_with = grpc.StatusCode.NOT_FOUND
        failures = [await failure(channel.call(safe("Name"), b"", [], 20)) for _ in range(4)]
        assert {tried(one.attempts) for one in failures} == {
            (),
            (lost, (quick.target, 1, Code.NOT_FOUND)),
        }


def tried(attempts: Sequence[Attempt]) -> tuple[tuple[str, int, Code], ...]:
    return tuple([(one.endpoint, one.previous, one.code) for one in attempts])


async def test_a_call_that_is_answered_in_time_is_sent_once() -> None:
    async with hedged(3, LONG_S) as (servers, channel):
        for _ in range(9):
            await channel.call(safe("Name"), b"", [], 20)
        assert calls(servers) == [3, 3, 3]


async def test_only_methods_that_declare_it_are_sent_twice() -> None:
    async with hedged(2, 0.02) as (servers, channel):
        for one in servers:
            one.pause()
        error = await failure(channel.call(method("Name"), b"", [], 0.5))
        assert error.code is Code.DEADLINE_EXCEEDED
        assert calls(servers) == [0, 1]


@pytest.mark.parametrize(("most", "expected"), [(2, [0, 1, 1]), (3, [1, 1, 1]), (5, [1, 1, 1])])
async def test_each_attempt_goes_to_another_server_and_no_more_than_allowed(
    most: int, expected: list[int]
) -> None:
    async with hedged(3, 0, max_attempts=most) as (servers, channel):
        for one in servers:
            one.pause()
        call = asyncio.ensure_future(channel.call(safe("Name"), b"", [], 20))
        await until(lambda: calls(servers) == expected)
        servers[0].go_on()
        for one in servers:
            one.go_on()
        await asyncio.wait_for(call, 10)
        assert calls(servers) == expected


async def test_a_status_that_is_not_fatal_starts_the_next_attempt_at_once() -> None:
    async with hedged(2, LONG_S) as ((bad, good), channel):
        bad.fails_with = grpc.StatusCode.UNAVAILABLE
        answers = [(await channel.call(safe("Name"), b"", [], 10)).message for _ in range(4)]
        assert answers == [good.name] * 4


async def test_a_fatal_status_is_the_answer_and_ends_the_others() -> None:
    async with hedged(2) as (servers, channel):
        for one in servers:
            one.pause()
        call = asyncio.ensure_future(failure(channel.call(safe("Name"), b"", [], 20)))
        await until(lambda: calls(servers) == [1, 1])
        servers[0].fails_with = grpc.StatusCode.NOT_FOUND
        servers[0].go_on()
        assert (await asyncio.wait_for(call, 10)).code is Code.NOT_FOUND
        await until(lambda: servers[1].waiting == 0)


async def test_if_all_fail_the_last_status_is_given() -> None:
    async with hedged(3, LONG_S, max_attempts=3) as (servers, channel):
        for one in servers:
            one.fails_with = grpc.StatusCode.UNAVAILABLE
        error = await failure(channel.call(safe("Name"), b"", [], 10))
        assert (error.code, error.message) == (Code.UNAVAILABLE, "as told")
        assert calls(servers) == [1, 1, 1]


@pytest.mark.parametrize(("pushback", "expected"), [("-1", [0, 1]), ("200", [1, 1])])
async def test_a_server_may_forbid_the_next_attempt_or_choose_its_time(
    pushback: str, expected: list[int]
) -> None:
    async with hedged(2, LONG_S) as (servers, channel):
        for one in servers:
            one.fails_with = grpc.StatusCode.UNAVAILABLE
            one.trailers = (("grpc-retry-pushback-ms", pushback),)
        started_s = time.monotonic()
        error = await asyncio.wait_for(failure(channel.call(safe("Name"), b"", [], 20)), 10)
        assert error.code is Code.UNAVAILABLE
        assert calls(servers) == expected
        assert (time.monotonic() - started_s >= 0.2) is (pushback == "200")


async def test_a_pushback_beyond_the_deadline_fails_at_once() -> None:
    async with hedged(2, LONG_S) as (servers, channel):
        for one in servers:
            one.fails_with = grpc.StatusCode.UNAVAILABLE
            one.trailers = (("grpc-retry-pushback-ms", "60000"),)
        await asyncio.wait_for(failure(channel.call(safe("Name"), b"", [], 30)), 10)
        assert calls(servers) == [0, 1]


async def test_a_dead_server_costs_no_call_and_counts_for_no_attempt() -> None:
    async with hedged(3, LONG_S) as (servers, channel):
        await servers[0].kill()
        for _ in range(6):
            await channel.call(safe("Name"), b"", [], 10)
        assert sum(calls(servers)) == 6


async def test_the_budget_bounds_the_attempts_under_way() -> None:
    async with hedged(2, 0.02, budget_min=2, budget_percent=0) as (servers, channel):
        for one in servers:
            one.pause()
        running = [
            asyncio.ensure_future(channel.call(safe("Name"), b"", [], 20)) for _ in range(20)
        ]
        await until(lambda: sum(calls(servers)) == 22)
        await asyncio.sleep(0.2)  # ten delays: more attempts would have begun
        assert sum(calls(servers)) == 22
        for one in servers:
            one.go_on()
        await asyncio.wait_for(asyncio.gather(*running), 10)
        # The budget is whole again.
        servers[0].pause()
        answers = [(await channel.call(safe("Name"), b"", [], 10)).message for _ in range(6)]
        assert answers == [servers[1].name] * 6


async def test_attempts_stop_while_too_many_calls_fail() -> None:
    throttling = {"retry_throttling": {"max_tokens": 10, "token_ratio": 0.1}, "outlier": None}
    async with hedged(2, LONG_S, throttling) as (servers, channel):
        for one in servers:
            one.fails_with = grpc.StatusCode.UNAVAILABLE
        for _ in range(10):
            await failure(channel.call(safe("Name"), b"", [], 5))
        # Two attempts of the first two calls take four tokens, and the third call the fifth.
        assert sum(calls(servers)) == 12


async def test_a_client_that_goes_away_cancels_all_attempts() -> None:
    async with hedged(2) as (servers, channel):
        for one in servers:
            one.pause()
        call = asyncio.ensure_future(channel.call(safe("Name"), b"", [], 20))
        await until(lambda: sum(one.waiting for one in servers) == 2)
        call.cancel()
        await until(lambda: sum(one.waiting for one in servers) == 0)


async def test_a_stream_is_hedged_until_its_first_message() -> None:
    stream = safe("Names")
    stream.server_streaming = True
    async with hedged(2) as ((slow, quick), channel):
        slow.pause()
        for _ in range(4):
            reply = await channel.call(stream, b"", [], 20)
            assert reply.messages is not None
            assert [one async for one in reply.messages] == [quick.name] * 3
        await until(lambda: slow.waiting == 0)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"hedging_policy": {"hedging_delay_s": 1}, "retry_policy": {}}, "not both"),
        ({"hedging_policy": {"hedging_delay_s": 1}, "retries": "off"}, "no effect with retries"),
        ({"hedging_policy": {}}, "hedging_delay_s"),
        ({"hedging_policy": {"hedging_delay_s": 1, "max_attempts": 6}}, "max_attempts"),
        ({"hedging_policy": {"hedging_delay_s": 1}, "channel": "grpcio"}, "is for channel: http2"),
    ],
)
def test_policies_that_cannot_be_followed_are_refused(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        Upstream.model_validate({"target": "localhost:1", **settings})
