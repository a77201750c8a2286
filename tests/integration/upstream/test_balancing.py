"""Several endpoints of one upstream: real servers that are killed, restarted, added and removed."""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest

from gateway.config.upstreams import Balance, ChannelKind, Upstream
from gateway.status import Code, StatusError
from gateway.upstream.attempts import Balanced
from gateway.upstream.balancing import Balancing
from gateway.upstream.channels.channel import Channel
from gateway.upstream.endpoint import Endpoint
from gateway.upstream.pickers import Candidate, Picker
from gateway.upstream.pool import open_pool
from tests.support.balanced import balanced, channel_to, names, safe, servers, spreads, states
from tests.support.calls import failure, sent
from tests.support.grpc_backend import method
from tests.support.polling import still, until
from tests.support.upstream_server import Server

ECHO = method("Echo")


async def test_calls_go_to_each_endpoint_in_turn() -> None:
    async with balanced(3) as (_, channel):
        counted = Counter(await names(channel, 300))
    assert list(counted.values()) == [100, 100, 100]


async def test_weights_are_shares() -> None:
    async with servers(2) as (light, heavy):
        targets = [{"address": light.target}, {"address": heavy.target, "weight": 3}]
        async with open_pool({"library": Upstream.model_validate({"targets": targets})}) as pool:
            await spreads(pool["library"], 2)
            counted = Counter(await names(pool["library"], 400))
    assert counted[heavy.name] == pytest.approx(300, abs=3)


async def test_pick_first_uses_the_next_only_while_the_first_is_away() -> None:
    async with servers(2) as (first, second):
        targets = [first.target, second.target]
        async with channel_to(targets, balance=Balance.PICK_FIRST) as channel:
            await until_first(channel, first)
            await first.kill()
            assert set(await names(channel, 5)) == {second.name}
            await first.restart()
            await until_first(channel, first)


async def until_first(channel: Channel, first: Server) -> None:
    async with asyncio.timeout(10):
        while set(await names(channel, 3)) != {first.name}:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_least_request_leaves_a_server_alone_that_does_not_answer() -> None:
    async with balanced(2, balance=Balance.LEAST_REQUEST) as ((slow, fast), channel):
        slow.pause()
        waiting = [asyncio.ensure_future(names(channel, 1)) for _ in range(40)]
        await until(lambda: sum(one.done() for one in waiting) >= 19)
        before = await still(lambda: fast.calls)  # calls of the first 40 may be on their way
        assert set(await names(channel, 20)) == {fast.name}
        assert fast.calls == before + 20
        slow.go_on()
        await asyncio.gather(*waiting)


@pytest.mark.parametrize("balance", [Balance.ROUND_ROBIN, Balance.LEAST_REQUEST])
async def test_no_safe_call_fails_when_a_server_dies_and_it_comes_back(balance: Balance) -> None:
    name, failures, stop = safe("Name"), [], asyncio.Event()

    async def load(channel: Channel) -> None:
        while not stop.is_set():
            try:
                await channel.call(name, b"", [], 10)
            except StatusError as error:
                failures.append(error)
            await asyncio.sleep(0)

    async with balanced(3, balance=balance) as (all_servers, channel):
        tasks = [asyncio.create_task(load(channel)) for _ in range(20)]
        for dying in all_servers[:2]:
            await asyncio.sleep(0.1)
            await dying.kill()
            calls = [one.calls for one in all_servers]
            await until(lambda calls=calls: sum(s.calls for s in all_servers) > sum(calls) + 50)  # type: ignore[misc]
            await dying.restart()
            seen = dying.calls
            await until(lambda seen=seen, dying=dying: dying.calls > seen + 10)  # type: ignore[misc]
        stop.set()
        await asyncio.gather(*tasks)
    assert failures == []


async def test_each_change_of_a_connection_is_an_event_with_the_address(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "gateway.upstream")
    async with balanced(2) as ((dying, _), channel):
        dying.pause()
        lost = [
            asyncio.ensure_future(failure(channel.call(method("Name"), b"", [], 20)))
            for _ in range(2)
        ]
        await until(lambda: dying.waiting == 1)
        await dying.kill()
        await until(lambda: states(channel)[dying.target][0] == "failing")
        dying.go_on()
        await dying.restart()
        await until(lambda: states(channel)[dying.target][0] == "ready")
        for one in lost:
            one.cancel()
    found = [
        str(getattr(one, "gateway_event", "")).removeprefix("gateway.upstream.")
        for one in caplog.records
        if getattr(one, "gateway_fields", {}).get("server.address") == dying.target
    ]
    # While it is away, there may be more attempts to connect, which fail in different ways.
    assert [found[0], *dict.fromkeys(found[1:-1]), found[-1]] == [
        *("up", "connection_lost", "down", "up")
    ]


async def test_a_call_that_may_not_be_repeated_reaches_no_second_server() -> None:
    async with balanced(2) as (both, channel):
        started = sum(one.calls for one in both)
        for one in both:
            one.pause()
        call = asyncio.ensure_future(channel.call(method("Name"), b"", [], 10))
        await until(lambda: sum(one.calls for one in both) == started + 1)
        (holder,) = [one for one in both if one.waiting]
        await holder.kill()
        error = await failure(call)
        assert error.code is Code.UNAVAILABLE
        assert sum(one.calls for one in both) == started + 1


@pytest.mark.parametrize("retries", ["safe", "off"])
async def test_a_safe_call_is_repeated_elsewhere_unless_that_is_off(retries: str) -> None:
    async with balanced(2, retries=retries) as (both, channel):
        for one in both:
            one.pause()
        call = asyncio.ensure_future(channel.call(safe("Name"), b"", [], 10))
        await until(lambda: any(one.waiting for one in both))
        (holder,) = [one for one in both if one.waiting]
        (other,) = [one for one in both if one is not holder]
        other.go_on()
        await holder.kill()
        if retries == "safe":
            assert (await call).message == other.name
        else:
            assert (await failure(call)).code is Code.UNAVAILABLE


async def test_a_streaming_request_goes_to_an_endpoint_that_can_be_reached() -> None:
    async with servers(1) as (alive,), channel_to(["127.0.0.1:1", alive.target]) as channel:
        collect = method("Collect", client_streaming=True)
        for _ in range(4):
            reply = await channel.call(collect, sent(b"a", b"b"), [], 5)
            assert reply.message == b"a,b"


async def test_if_none_can_be_reached_a_call_fails_at_once() -> None:
    async with channel_to(["127.0.0.1:1", "127.0.0.1:2"]) as channel:
        error = await failure(asyncio.wait_for(channel.call(ECHO, b"", [], 60), 10))
        assert (error.code, error.message) == (
            Code.UNAVAILABLE,
            'upstream "library" is unavailable',
        )
        assert ("Retry-After", "1") in error.headers


class Changing:
    """A resolver whose answer a test changes."""

    def __init__(self, *targets: str) -> None:
        self.endpoints = [Endpoint((target,)) for target in targets]

    async def resolve(self) -> Sequence[Endpoint]:
        return list(self.endpoints)


QUICK = {"refresh_s": 0.05, "min_interval_s": 0.01, "empty_grace_s": 0.2}


async def test_endpoints_come_and_go_with_the_answers_of_the_resolver(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "gateway.upstream")
    async with servers(3) as (one, two, three):
        resolver = Changing(one.target)
        balancing = Balancing(resolvers={"library": resolver})
        async with channel_to([], balancing, target="library.test:1", dns=QUICK) as channel:
            assert set(await names(channel, 5)) == {one.name}
            resolver.endpoints = [Endpoint((two.target,)), Endpoint((three.target,))]
            two.pause()
            await until(lambda: "no longer has" in caplog.text)
            waiting = [asyncio.ensure_future(names(channel, 1)) for _ in range(2)]
            await until(lambda: two.waiting)
            resolver.endpoints = [Endpoint((three.target,))]
            await until(lambda: f"no longer has: {two.target}" in caplog.text)
            assert set(await names(channel, 5)) == {three.name}
            two.go_on()
            assert two.name in [(await one)[0] for one in waiting], "a call may finish"
            resolver.endpoints = []
            await asyncio.sleep(0.05)
            assert set(await names(channel, 5)) == {three.name}, "the last answer stays"
            await until(lambda: f"no longer has: {three.target}" in caplog.text)
            error = await failure(channel.call(ECHO, b"", [], 5))
            assert error.message == 'upstream "library" has no addresses'
            resolver.endpoints = [Endpoint((one.target,))]
            await until(lambda: caplog.text.count(f"new endpoint: {one.target}") == 2)
            assert set(await names(channel, 2)) == {one.name}
    events = [getattr(record, "gateway_event", "") for record in caplog.records]
    assert events.count("gateway.upstream.endpoint_added") == 4
    assert events.count("gateway.upstream.endpoint_removed") == 3
    assert events.count("gateway.upstream.lookup_failed") == 1


class Last:
    """A policy of one's own: always the last."""

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self._index = len(candidates) - 1

    def pick(self) -> int:
        return self._index


@pytest.mark.parametrize("settings", [{}, {"hedging_policy": {"hedging_delay_s": 5}}])
async def test_while_there_are_calls_endpoints_are_resolved_often(settings: dict[str, Any]) -> None:
    class Counted:
        asked = 0

        async def resolve(self) -> Sequence[Endpoint]:
            self.asked += 1
            return [Endpoint((only.target,))]

    often = {"refresh_s": 0.005, "min_interval_s": 0.001, "quiet_refresh_s": 0.2}
    resolver = Counted()
    async with servers(1) as (only,):
        balancing = Balancing({"library": resolver})
        more = {"target": "library.test:1", "dns": often} | settings
        async with channel_to([], balancing, **more) as channel, asyncio.timeout(8):
            # Without calls that would take 12 s.
            while resolver.asked < 100:
                await channel.call(safe("Name"), b"", [], 5)


async def test_a_program_may_choose_the_endpoints_itself() -> None:
    async with servers(2) as (one, two):

        def last(candidates: Sequence[Candidate]) -> Picker:
            return Last(candidates)

        balancing = Balancing({"library": Changing(one.target, two.target)}, {"library": last})
        async with channel_to([], balancing, target="library.test:1") as channel:
            await until_first(channel, two)
            assert set(await names(channel, 10)) == {two.name}


async def test_the_system_resolves_a_name_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with servers(2) as (one, two):
        loop = asyncio.get_running_loop()
        real, found = loop.getaddrinfo, [one.target]

        async def getaddrinfo(host: str, port: int, **options: Any) -> list[Any]:
            if host != "library.test":
                return await real(host, port, **options)
            pairs = [target.rpartition(":") for target in found]
            return [(2, 1, 6, "", (host, int(port))) for host, _, port in pairs]

        monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)
        async with open_pool(
            {"library": Upstream.model_validate({"target": "library.test:1", "dns": QUICK})}
        ) as pool:
            assert set(await names(pool["library"], 5)) == {one.name}
            found.append(two.target)
            await spreads(pool["library"], 2)
            assert set(await names(pool["library"], 2)) == {one.name, two.name}


async def test_a_server_that_drains_is_left_at_once_and_its_calls_finish() -> None:
    async with balanced(2) as ((leaving, other), channel):
        leaving.pause()
        others = []
        while not leaving.waiting:
            others.append(asyncio.ensure_future(names(channel, 1)))
            await asyncio.sleep(0.01)
        await leaving.drain()
        await until(lambda: states(channel)[leaving.target][0] != "ready")
        assert set(await names(channel, 10)) == {other.name}
        leaving.go_on()
        assert {one for answer in others for one in await answer} >= {leaving.name}


async def test_a_report_shows_each_endpoint() -> None:
    async with servers(1) as (alive,):
        targets = [{"address": alive.target, "weight": 2}, {"address": "127.0.0.1:1"}]
        upstreams = {
            "library": Upstream.model_validate({"targets": targets}),
            "other": Upstream(target="127.0.0.1:1", channel=ChannelKind.GRPCIO),
        }
        async with open_pool(upstreams) as pool:
            assert isinstance(pool["library"], Balanced)
            reports = await pool.report(5)
    assert reports["other"] == []
    assert [(one.address, one.state, one.weight) for one in reports["library"]] == [
        (alive.target, "ready", 2),
        ("127.0.0.1:1", "failing", 1),
    ]
    assert reports["library"][1].failure == "Connection refused"


@pytest.mark.parametrize(("count", "balance"), [(1, "round_robin"), (3, "least_request")])
async def test_calls_under_way_are_counted_down_however_they_end(count: int, balance: str) -> None:
    random = Random(1)
    stream = method("Names", server_streaming=True)
    async with balanced(count, balance=balance) as (_, channel):

        async def one() -> None:
            if random.random() < 0.8:
                await channel.call(method("Name"), b"", [], 5)
                return
            reply = await channel.call(stream, b"", [], 5)
            assert reply.messages is not None
            await anext(reply.messages)
            await reply.messages.aclose()

        async def some() -> None:
            for _ in range(100):
                call = asyncio.ensure_future(one())
                for _ in range(random.randrange(6)):
                    await asyncio.sleep(0)
                if random.random() < 0.5:
                    call.cancel()
                await asyncio.wait([call])

        await asyncio.gather(*(some() for _ in range(50)))
        assert isinstance(channel, Balanced)
        await until(lambda: [one.in_flight for one in channel.report()] == [0] * count)
