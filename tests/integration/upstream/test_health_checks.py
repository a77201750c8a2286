"""Health checks of endpoints: real servers that report by grpc.health.v1 how they are."""

import asyncio
import logging
from functools import partial
from typing import Any

import pytest

from gateway.upstream.attempts import Balanced
from tests.support.balanced import balanced, channel_to, names, servers, spreads, states
from tests.support.health import NOT_SERVING, SERVICE_UNKNOWN, SERVING, Health
from tests.support.polling import until
from tests.support.upstream_server import Server

CHECKS: dict[str, Any] = {"watch": False, "interval_s": 0.05}


def health_of(server: Server) -> Health:
    assert server.health is not None
    return server.health


@pytest.mark.parametrize("health", [{}, CHECKS])
@pytest.mark.parametrize("status", [NOT_SERVING, SERVICE_UNKNOWN])
async def test_an_unhealthy_server_gets_no_calls_until_it_is_well(
    health: dict[str, Any], status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "gateway.upstream")
    reason = "its health is " + ("NOT_SERVING" if status == NOT_SERVING else "SERVICE_UNKNOWN")
    async with balanced(3, Health, health={"service": "test.v1", **health}) as (all_, channel):
        sick, *well = all_
        health_of(sick).becomes(status)
        await until(lambda: states(channel)[sick.target] == ("unhealthy", reason))
        assert set(await names(channel, 12)) == {one.name for one in well}
        health_of(sick).becomes(SERVING)
        await spreads(channel, 3)
        assert set(health_of(sick).asked) == {"test.v1"}
    events = [getattr(one, "gateway_event", "") for one in caplog.records]
    assert events.count("gateway.upstream.endpoint_unhealthy") == 1
    assert events.count("gateway.upstream.endpoint_healthy") == 1
    assert f"is unhealthy: {reason}" in caplog.text


async def test_a_call_under_way_at_an_unhealthy_server_goes_on() -> None:
    async with balanced(2, Health, health={}) as ((sick, _), channel):
        sick.pause()
        calls = [asyncio.ensure_future(names(channel, 1)) for _ in range(2)]
        await until(lambda: sick.waiting)
        health_of(sick).becomes(NOT_SERVING)
        await until(lambda: states(channel)[sick.target][0] == "unhealthy")
        sick.go_on()
        assert [sick.name] in await asyncio.gather(*calls)


async def test_a_server_without_watch_is_asked_by_check() -> None:
    serves = partial(Health, watch=False)
    async with balanced(2, serves, health={"interval_s": 0.05}) as ((sick, well), channel):
        health_of(sick).becomes(NOT_SERVING)
        await until(lambda: states(channel)[sick.target][0] == "unhealthy")
        assert set(await names(channel, 4)) == {well.name}


async def test_a_server_without_the_service_counts_as_healthy(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with balanced(2, health={}) as (_, channel):
        assert {state for state, _ in states(channel).values()} == {"ready"}
    assert caplog.text.count("does not serve grpc.health.v1.Health") == 2
    events = [getattr(one, "gateway_event", "") for one in caplog.records]
    assert events.count("gateway.upstream.no_health_service") == 2


@pytest.mark.parametrize("health", [{}, CHECKS])
async def test_a_server_that_does_not_answer_its_check_is_unhealthy(health: dict[str, Any]) -> None:
    reason = "its health check had no answer in 1 s"
    async with servers(2, Health) as (hangs, well):
        health_of(hangs).goes_on.clear()
        settings = {"timeout_s": 1, **health}
        async with channel_to([hangs.target, well.target], health=settings) as channel:
            await names(channel, 1)
            await until(lambda: states(channel)[hangs.target] == ("unhealthy", reason))
            assert set(await names(channel, 4)) == {well.name}
            health_of(hangs).goes_on.set()
            await spreads(channel, 2)


async def test_a_restarted_server_is_asked_anew() -> None:
    async with balanced(2, Health, health={}) as ((dies, well), channel):
        health_of(dies).becomes(NOT_SERVING)
        await until(lambda: states(channel)[dies.target][0] == "unhealthy")
        await dies.kill()
        await until(lambda: states(channel)[dies.target][0] == "failing")
        assert set(await names(channel, 4)) == {well.name}
        health_of(dies).becomes(SERVING)
        await dies.restart()
        await spreads(channel, 2)


async def test_checks_end_with_the_channel_and_are_no_calls() -> None:
    async with balanced(2, Health, health={}) as (both, channel):
        await until(lambda: all(health_of(one).watching for one in both))
        assert isinstance(channel, Balanced)
        assert [one.in_flight for one in channel.report()] == [0, 0]
    await until(lambda: not any(health_of(one).watching for one in both))


async def test_if_most_are_unhealthy_all_get_calls() -> None:
    async with balanced(3, Health, health={}) as (all_, channel):
        for one in all_[:2]:
            health_of(one).becomes(NOT_SERVING)
        await until(lambda: [s for s, _ in states(channel).values()].count("unhealthy") == 2)
        assert set(await names(channel, 9)) == {one.name for one in all_}
