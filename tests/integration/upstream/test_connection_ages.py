"""Connections that are replaced for their age, or closed because no call needs them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.config.upstreams import Upstream
from gateway.upstream.channels.http2 import Http2Channel
from gateway.upstream.endpoint import State
from tests.support.balanced import channel_to, safe, states
from tests.support.grpc_backend import method
from tests.support.health import Health
from tests.support.polling import until
from tests.support.upstream_server import Server, server


class Counted(Server):
    """A server that counts the connections to it."""

    def __init__(self) -> None:
        super().__init__(Health())
        self.accepted = 0

    @property
    def open(self) -> int:
        """The connections that are open now: each has two pipes."""
        return sum(not pipe.done() for pipe in self._pipes) // 2

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        await super()._accept(reader, writer)


@asynccontextmanager
async def counted() -> AsyncIterator[Counted]:
    running = Counted()
    await running.start()
    try:
        yield running
    finally:
        await running.stop()


@asynccontextmanager
async def hurried(target: str, **settings: Any) -> AsyncIterator[Http2Channel]:
    """A channel with shorter times than the settings allow."""
    channel = Http2Channel("library", Upstream(target=target).model_copy(update=settings))
    try:
        yield channel
    finally:
        await channel.close()


async def test_connections_are_replaced_without_a_failed_call() -> None:
    async with counted() as only, hurried(only.target, max_connection_age_s=0.1) as channel:
        done = 0

        async def call_on() -> None:
            nonlocal done
            while only.accepted < 10:
                await channel.call(method("Name"), b"", [], 10)
                done += 1

        await asyncio.wait_for(asyncio.gather(*(call_on() for _ in range(8))), 30)
        assert done > 10
        await until(lambda: only.open <= 2)
        assert channel.state is State.READY


async def test_calls_under_way_finish_on_the_old_connection() -> None:
    async with counted() as only, hurried(only.target, max_connection_age_s=0.1) as channel:
        only.pause()
        call = asyncio.ensure_future(channel.call(method("Name"), b"", [], 30))
        await until(lambda: only.waiting == 1)
        await until(lambda: only.accepted >= 2)
        only.go_on()
        assert (await asyncio.wait_for(call, 10)).message == only.name


async def test_calls_that_take_too_long_end_with_their_connection() -> None:
    ages = {"max_connection_age_s": 0.1, "drain_s": 0.1}
    async with counted() as only, hurried(only.target, **ages) as channel:
        only.pause()
        with pytest.raises(Exception, match="is unavailable"):
            await channel.call(method("Name"), b"", [], 30)
        assert channel.failure == ""


async def test_an_old_connection_stays_while_no_other_can_be_opened() -> None:
    async with counted() as only, hurried(only.target, max_connection_age_s=0.1) as channel:
        await channel.call(method("Name"), b"", [], 10)
        only.pause()
        call = asyncio.ensure_future(channel.call(method("Name"), b"", [], 30))
        await until(lambda: only.waiting == 1)
        assert only._port is not None
        only._port.close()
        await until(lambda: channel.failure)
        only.go_on()
        await asyncio.wait_for(call, 10)
        assert (await channel.call(method("Name"), b"", [], 10)).message == only.name
        assert channel.state is State.READY


async def test_a_connection_without_calls_is_closed_and_opened_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "gateway.upstream")
    async with counted() as only, hurried(only.target, idle_close_s=0.1) as channel:
        await channel.call(method("Name"), b"", [], 10)
        await until(lambda: only.open == 0)
        await until(lambda: channel.state is State.IDLE)
        events = [getattr(one, "gateway_event", "") for one in caplog.records]
        assert events == ["gateway.upstream.up", "gateway.upstream.idle"]
        assert (await channel.call(method("Name"), b"", [], 10)).message == only.name
        assert only.accepted == 2


async def test_a_connection_with_a_call_is_not_idle() -> None:
    async with counted() as only, hurried(only.target, idle_close_s=0.05) as channel:
        only.pause()
        call = asyncio.ensure_future(channel.call(method("Name"), b"", [], 30))
        await until(lambda: only.waiting == 1)
        await asyncio.sleep(0.3)  # the time is the subject
        only.go_on()
        await asyncio.wait_for(call, 10)
        assert only.accepted == 1


async def test_the_last_connection_to_each_of_several_endpoints_stays() -> None:
    async with counted() as one, hurried(one.target, idle_close_s=0.05) as channel:
        channel.keep_open()
        await until(lambda: channel.state is State.READY)
        await asyncio.sleep(0.3)  # the time is the subject
        assert (one.open, one.accepted) == (1, 1)


async def test_a_health_check_survives_the_change_of_its_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with counted() as one, server(Health()) as other:
        targets = [one.target, other.target]
        settings: dict[str, Any] = {"max_connection_age_s": 1, "drain_s": 0.1, "health": {}}
        async with channel_to(targets, **settings) as channel:
            told = set()
            while one.accepted < 3:
                await asyncio.wait_for(channel.call(safe("Name"), b"", [], 10), 10)
                if one.accepted > 1:
                    told.add(states(channel)[one.target][0])
            assert told == {"ready"}
    events = [getattr(one, "gateway_event", "") for one in caplog.records]
    assert "gateway.upstream.endpoint_unhealthy" not in events
