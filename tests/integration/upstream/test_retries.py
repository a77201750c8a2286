"""Calls that a back end fails: repeated on another one where that does no harm, and only there."""

import asyncio
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest

from gateway.app.gateway import open_gateway
from gateway.config.model import Config
from gateway.status import Code
from tests.support.balanced import balanced, names, safe, states
from tests.support.calls import failure
from tests.support.collector import attributes, collector
from tests.support.counting_backend import FILES, counting_server
from tests.support.grpc_backend import method
from tests.support.http import connected
from tests.support.polling import until
from tests.support.upstream_server import Server

PREVIOUS = "grpc-previous-rpc-attempts"


def fail(servers: Sequence[Server], *trailers: tuple[str, str | bytes]) -> None:
    for one in servers:
        one.fails_with = grpc.StatusCode.UNAVAILABLE
        one.trailers = trailers
        one.calls = 0
        one.seen.clear()


async def test_a_safe_call_that_one_server_fails_is_answered_by_another() -> None:
    async with balanced(3) as ((bad, *good), channel):
        fail([bad])
        answers = [(await channel.call(safe("Name"), b"", [], 5)).message for _ in range(12)]
        assert set(answers) == {one.name for one in good}
        assert bad.calls == 4
        attempts = [seen.get(PREVIOUS) for one in good for seen in one.seen]
        assert attempts.count("1") == 4
        assert all(PREVIOUS not in seen for seen in bad.seen)


async def test_a_call_that_may_not_be_repeated_is_sent_once() -> None:
    async with balanced(3) as (servers, channel):
        fail(servers)
        for _ in range(6):
            assert (await failure(channel.call(method("Name"), b"", [], 5))).code is (
                Code.UNAVAILABLE
            )
        assert sum(one.calls for one in servers) == 6


@pytest.mark.parametrize(
    ("settings", "attempts"),
    [({}, 2), ({"retries": "off"}, 1), ({"retry_policy": {"max_attempts": 3}}, 3)],
)
async def test_if_all_fail_the_last_status_is_given(
    settings: dict[str, Any], attempts: int
) -> None:
    async with balanced(3, **settings) as (servers, channel):
        fail(servers)
        error = await failure(channel.call(safe("Name"), b"", [], 5))
        assert (error.code, error.message) == (Code.UNAVAILABLE, "as told")
        assert sorted(one.calls for one in servers) == [0] * (3 - attempts) + [1] * attempts


@pytest.mark.parametrize(("settings", "calls"), [({}, 1), ({"retry_policy": {}}, 2)])
async def test_a_single_server_is_asked_again_only_by_a_policy(
    settings: dict[str, Any], calls: int
) -> None:
    async with balanced(1, **settings) as ((only,), channel):
        fail([only])
        assert (await failure(channel.call(safe("Name"), b"", [], 5))).code is Code.UNAVAILABLE
        assert only.calls == calls


async def test_other_statuses_are_not_repeated() -> None:
    async with balanced(2) as (servers, channel):
        fail(servers)
        for one in servers:
            one.fails_with = grpc.StatusCode.INTERNAL
        assert (await failure(channel.call(safe("Name"), b"", [], 5))).code is Code.INTERNAL
        assert sum(one.calls for one in servers) == 1


async def test_a_server_may_forbid_the_repeat_or_choose_its_time() -> None:
    async with balanced(2) as (servers, channel):
        fail(servers, ("grpc-retry-pushback-ms", "-1"))
        error = await failure(channel.call(safe("Name"), b"", [], 5))
        assert sum(one.calls for one in servers) == 1
        assert "grpc-retry-pushback-ms" not in dict(error.trailers)
        fail(servers, ("grpc-retry-pushback-ms", "300"))
        started_s = time.monotonic()
        await failure(channel.call(safe("Name"), b"", [], 5))
        assert time.monotonic() - started_s >= 0.3
        assert sum(one.calls for one in servers) == 2


async def test_a_pause_beyond_the_deadline_fails_at_once() -> None:
    async with balanced(2) as (servers, channel):
        fail(servers, ("grpc-retry-pushback-ms", "60000"))
        error = await asyncio.wait_for(failure(channel.call(safe("Name"), b"", [], 30)), 10)
        assert error.code is Code.UNAVAILABLE
        assert sum(one.calls for one in servers) == 1


@pytest.mark.parametrize("is_hedged", [False, True], ids=["retries", "hedging"])
async def test_a_call_that_waits_for_its_repeat_ends_with_the_channel(is_hedged: bool) -> None:
    policy = {"initial_backoff_s": 60, "max_backoff_s": 60}
    settings: dict[str, Any] = {"retry_policy": policy}
    if is_hedged:
        settings = {"hedging_policy": {"hedging_delay_s": 30}}
    async with balanced(2, **settings) as (both, channel):
        for one in both:
            one.fails_with = grpc.StatusCode.UNAVAILABLE
            one.trailers = (("grpc-retry-pushback-ms", "60000"),) if is_hedged else ()
        before = sum(one.calls for one in both)
        call = asyncio.ensure_future(channel.call(safe("Name"), b"", [], 100))
        await until(lambda: sum(one.calls for one in both) > before)
        await asyncio.sleep(0.1)  # until the answer has come
        await channel.close()
        async with asyncio.timeout(5):
            error = await failure(call)
        assert (error.code, error.message) == (Code.UNAVAILABLE, "as told"), "the last status"


async def test_repeats_have_the_time_that_is_left() -> None:
    async with balanced(2) as ((bad, good), channel):
        fail([bad], ("grpc-retry-pushback-ms", "300"))
        good.pause()
        started_s = time.monotonic()
        calls = [failure(channel.call(safe("Name"), b"", [], 0.6)) for _ in range(2)]
        errors = await asyncio.gather(*calls)
        assert {one.code for one in errors} == {Code.DEADLINE_EXCEEDED}
        assert time.monotonic() - started_s >= 0.5


async def test_the_budget_bounds_the_load_of_an_upstream_that_fails() -> None:
    # Without ejection: the calls of an endpoint that is left out need no budget.
    policy = {"budget_min": 2, "budget_percent": 0}
    async with balanced(2, retry_policy=policy, outlier=None) as (servers, channel):
        fail(servers, ("grpc-retry-pushback-ms", "500"))
        calls = [failure(channel.call(safe("Name"), b"", [], 5)) for _ in range(20)]
        await asyncio.gather(*calls)
        assert sum(one.calls for one in servers) == 22
        for one in servers:
            one.fails_with = None
        assert len(set(await names(channel, 4))) == 2


async def test_a_stream_is_repeated_before_its_first_message_only() -> None:
    stream = method("Names", server_streaming=True)
    repeatable = safe("Names")
    repeatable.server_streaming = True
    async with balanced(2) as ((bad, good), channel):
        fail([bad])
        for _ in range(4):
            reply = await channel.call(repeatable, b"", [], 5)
            assert reply.messages is not None
            assert [one async for one in reply.messages] == [good.name] * 3
        codes = set()
        for _ in range(2):
            try:
                reply = await channel.call(stream, b"", [], 5)
            except Exception as error:  # noqa: BLE001 - looked at below
                codes.add(getattr(error, "code", None))
        assert codes == {Code.UNAVAILABLE}


async def test_an_attempt_that_takes_too_long_is_repeated_within_the_deadline() -> None:
    policy = {"per_try_s": 0.3, "initial_backoff_s": 0.01}
    async with balanced(2, retry_policy=policy, outlier={"consecutive": 1}) as (servers, channel):
        slow, good = servers
        slow.pause()
        for one in servers:
            one.calls = 0
        answers = [(await channel.call(safe("Name"), b"", [], 20)).message for _ in range(3)]
        assert answers == [good.name] * 3
        assert slow.calls == 1, "a slow attempt counts against its endpoint"
        assert states(channel)[slow.target][0] == "ejected"


async def test_a_late_attempt_of_a_call_that_may_not_be_repeated_ends_it() -> None:
    async with balanced(2, retry_policy={"per_try_s": 0.2}) as (servers, channel):
        for one in servers:
            one.calls = 0
            one.pause()
        error = await asyncio.wait_for(failure(channel.call(method("Name"), b"", [], 60)), 20)
        assert error.code is Code.DEADLINE_EXCEEDED
        assert sum(one.calls for one in servers) == 1


async def test_repeats_stop_while_too_many_calls_fail() -> None:
    throttling = {"max_tokens": 10, "token_ratio": 0.1}
    async with balanced(2, retry_throttling=throttling) as (servers, channel):
        fail(servers)
        for _ in range(10):
            await failure(channel.call(safe("Name"), b"", [], 5))
        # Two attempts of the first two calls take four tokens, and the third call the fifth.
        assert sum(one.calls for one in servers) == 12
        for one in servers:
            one.fails_with = None
        await names(channel, 80)
        fail(servers)
        await failure(channel.call(safe("Name"), b"", [], 5))
        assert sum(one.calls for one in servers) == 2


async def test_the_access_log_has_the_attempts_of_a_call_and_the_last_endpoint(
    tmp_path: Path,
) -> None:
    log = tmp_path / "access.log"
    async with counting_server() as bad, counting_server() as good:
        bad.fails = grpc.StatusCode.UNAVAILABLE
        settings = {
            "listen": "127.0.0.1:0",
            "descriptors": [str(tmp_path / "shop.binpb")],
            "log": {"access": str(log), "format": "json"},
            "upstreams": {"main": {"targets": [{"address": one.target} for one in (bad, good)]}},
        }
        (tmp_path / "shop.binpb").write_bytes(FILES.SerializeToString())
        async with open_gateway(Config.model_validate(settings)) as gateway:
            async with connected(gateway) as client:
                for _ in range(4):
                    assert (await client.get("/v1/plain")).status == 200
                good.fails = grpc.StatusCode.UNAVAILABLE
                assert (await client.get("/v1/plain")).status == 503
            await until(lambda: log.exists() and len(log.read_text().splitlines()) == 5)
    lines = [json.loads(one) for one in log.read_text().splitlines()]
    found = [(one.get("gateway.attempts"), one.get("gateway.endpoint")) for one in lines]
    assert set(found[:4]) == {(None, None), (2, good.target)}
    assert found[4][0] == 2
    assert found[4][1] in {bad.target, good.target}
    tried = next(one["gateway.tried"] for one in lines if "gateway.tried" in one)
    assert [(one["endpoint"], one["code"]) for one in tried] == [
        (bad.target, "UNAVAILABLE"),
        (good.target, "OK"),
    ]
    assert all(one["duration_ms"] > 0 for one in tried)
    codes = [one["code"] for one in lines[4]["gateway.tried"]]
    assert codes == ["UNAVAILABLE"] * 2


async def test_each_of_several_attempts_has_a_span_below_that_of_the_call(tmp_path: Path) -> None:
    async with counting_server() as bad, counting_server() as good:
        bad.fails = grpc.StatusCode.UNAVAILABLE
        (tmp_path / "shop.binpb").write_bytes(FILES.SerializeToString())
        with collector() as received:
            settings = {
                "listen": "127.0.0.1:0",
                "descriptors": [str(tmp_path / "shop.binpb")],
                "tracing": {"otlp": received.url, "ratio": 1},
                "upstreams": {
                    "main": {"targets": [{"address": one.target} for one in (bad, good)]}
                },
            }
            async with (
                open_gateway(Config.model_validate(settings)) as gateway,
                connected(gateway) as client,
            ):
                while not bad.calls:  # at first, one of the two may not be connected yet
                    assert (await client.get("/v1/plain")).status == 200
        attempts = [one for one in received.spans if one.name.startswith("Attempt.")]
    calls = {one.span_id for one in received.spans if one.name == "shop.v1.Shop/Plain"}
    assert [one.name for one in attempts] == ["Attempt.shop.v1.Shop.Plain"] * 2
    first, second = map(attributes, attempts)
    assert (first["gateway.endpoint"], second["gateway.endpoint"]) == (bad.target, good.target)
    assert (first["previous-rpc-attempts"], second["previous-rpc-attempts"]) == (0, 1)
    assert (first["transparent-retry"], second["transparent-retry"]) == (False, False)
    assert (first["error.type"], second["rpc.response.status_code"]) == ("UNAVAILABLE", "OK")
    assert [one.status.code for one in attempts] == [2, 0]
    assert len({one.parent_span_id for one in attempts}) == 1
    assert attempts[0].parent_span_id in calls
    assert len({one.span_id for one in received.spans}) == len(received.spans)
    assert attempts[0].end_time_unix_nano <= attempts[1].start_time_unix_nano
