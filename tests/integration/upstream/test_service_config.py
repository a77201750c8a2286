"""A gRPC service config of an upstream, with real servers."""

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import grpc
import pytest

from gateway.config.upstreams import Upstream
from gateway.status import Code
from gateway.upstream.configured import ServiceConfigError
from gateway.upstream.endpoint import State
from gateway.upstream.interfaces import UpstreamChannel
from gateway.upstream.pool import open_pool
from tests.support.balanced import balanced, channel_to, names, safe, servers
from tests.support.calls import failure, sent
from tests.support.grpc_backend import SERVICE, method
from tests.support.health import Health
from tests.support.polling import until
from tests.support.upstream_server import Server

RETRY = {
    "maxAttempts": 3,
    "initialBackoff": "0.01s",
    "maxBackoff": "0.02s",
    "backoffMultiplier": 1,
    "retryableStatusCodes": ["UNAVAILABLE"],
}
NAME = {"service": SERVICE, "method": "Name"}


def config(**entry: Any) -> dict[str, Any]:
    return {"grpc_service_config": {"methodConfig": [{"name": [NAME], **entry}]}}


def fail(running: list[Server]) -> None:
    for one in running:
        one.fails_with = grpc.StatusCode.UNAVAILABLE
        one.calls = 0


@pytest.mark.parametrize(
    ("name", "called", "attempts"),
    [
        (NAME, method("Name"), 3),
        ({"service": SERVICE}, safe("Name"), 3),
        ({"service": SERVICE}, method("Name"), 1),
        ({}, method("Name"), 1),
    ],
    ids=["named itself", "safe", "unsafe, by service", "unsafe, by default"],
)
async def test_a_call_is_repeated_by_its_policy(
    name: dict[str, str], called: Any, attempts: int
) -> None:
    settings = {"methodConfig": [{"name": [name], "retryPolicy": RETRY}]}
    async with balanced(2, grpc_service_config=settings) as (running, channel):
        fail(running)
        assert (await failure(channel.call(called, b"", [], 5))).code is Code.UNAVAILABLE
        assert sum(one.calls for one in running) == attempts


async def test_calls_are_hedged_by_its_policy() -> None:
    policy = {"maxAttempts": 3, "hedgingDelay": "0.02s", "nonFatalStatusCodes": ["UNAVAILABLE"]}
    settings = {"methodConfig": [{"name": [NAME], "hedgingPolicy": policy}]}
    async with balanced(3, grpc_service_config=settings) as (running, channel):
        for one in running:
            one.calls = 0
            one.pause()
        call = asyncio.ensure_future(channel.call(safe("Name"), b"", [], 20))
        await until(lambda: [one.calls for one in running] == [1, 1, 1])
        running[2].go_on()
        assert (await asyncio.wait_for(call, 10)).message == running[2].name
        await until(lambda: sum(one.waiting for one in running) == 0)
        # A method that does not declare it is sent once, whatever the policy says.
        for one in running:
            one.pause()
        error = await failure(channel.call(method("Name"), b"", [], 0.3))
        assert error.code is Code.DEADLINE_EXCEEDED
        assert sum(one.calls for one in running) == 4


async def test_a_retry_policy_of_a_method_takes_the_place_of_hedging() -> None:
    settings = config(retryPolicy=RETRY) | {"hedging_policy": {"hedging_delay_s": 0}}
    async with balanced(2, **settings) as (running, channel):
        fail(running)
        await failure(channel.call(safe("Name"), b"", [], 5))
        assert sum(one.calls for one in running) == 3, "hedged, it would have two attempts"


async def check(upstream: dict[str, Any], *methods: Any) -> None:
    """Compares settings of an upstream with methods, as at start."""
    options = Upstream.model_validate({"target": "127.0.0.1:1", **upstream})
    async with open_pool({"library": options}) as pool:
        channel = pool.checks("library")
        assert channel is not None
        channel.check(methods)


@pytest.mark.parametrize("name", [NAME, {"service": SERVICE}, {}], ids=["itself", "service", "all"])
async def test_hedging_of_methods_that_do_not_declare_it_is_refused(name: dict[str, str]) -> None:
    entry = {"name": [name], "hedgingPolicy": {"maxAttempts": 2}}
    settings = {"grpc_service_config": {"methodConfig": [entry]}}
    await check(settings, safe("Name"))
    with pytest.raises(ServiceConfigError, match=r"hedgingPolicy for .*: expected methods whose"):
        await check(settings, method("Name"))


async def test_a_name_that_no_method_has_is_only_warned_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    entry = {"name": [{"service": SERVICE, "method": "Gone"}], "hedgingPolicy": {"maxAttempts": 2}}
    await check({"grpc_service_config": {"methodConfig": [entry]}}, method("Name"))
    assert f"methodConfig: no call goes to {SERVICE}/Gone here" in caplog.text


async def test_the_shorter_of_both_times_counts() -> None:
    async with balanced(1, **config(timeout="0.3s")) as ((only,), channel):
        only.pause()
        for timeout_s in (60, None):
            late = failure(channel.call(method("Name"), b"", [], timeout_s))
            assert (await asyncio.wait_for(late, 20)).code is Code.DEADLINE_EXCEEDED
    async with balanced(1, **config(timeout="3600s")) as ((only,), channel):
        only.pause()
        late = failure(channel.call(method("Name"), b"", [], 0.2))
        assert (await asyncio.wait_for(late, 20)).code is Code.DEADLINE_EXCEEDED


async def test_messages_that_are_too_large_are_refused() -> None:
    async with balanced(1, **config(maxRequestMessageBytes=2)) as ((only,), channel):
        only.calls = 0
        error = await failure(channel.call(method("Name"), b"123", [], 5))
        assert (error.code, error.http_status) == (Code.RESOURCE_EXHAUSTED, 413)
        assert only.calls == 0
        assert (await channel.call(method("Name"), b"12", [], 5)).message
    limits = {"name": [{}], "maxRequestMessageBytes": 2, "maxResponseMessageBytes": 4}
    async with servers(1) as (only,):
        settings = {"methodConfig": [limits]}
        async with channel_to([only.target], grpc_service_config=settings) as channel:
            error = await failure(channel.call(method("Name"), b"", [], 5))
            assert (error.code, error.http_status) == (Code.RESOURCE_EXHAUSTED, 500)
            collect = method("Collect", client_streaming=True)
            error = await failure(channel.call(collect, sent(b"12", b"123"), [], 5))
            assert error.http_status == 413
            reply = await channel.call(collect, sent(b"1", b"12"), [], 5)
            assert reply.message == b"1,12"
            stream = await channel.call(method("Names", server_streaming=True), b"", [], 5)
            assert stream.messages is not None
            assert (await failure(anext(stream.messages))).code is Code.RESOURCE_EXHAUSTED


async def test_a_call_waits_for_a_connection_only_if_asked() -> None:
    for waits in (True, False):
        async with (
            servers(1) as (only,),
            channel_to([only.target], **config(waitForReady=waits)) as channel,
        ):
            await only.kill()
            call = asyncio.ensure_future(channel.call(method("Name"), b"", [], 30))
            if not waits:
                assert (await failure(call)).code is Code.UNAVAILABLE
                continue
            await asyncio.sleep(0.5)
            assert not call.done()
            await only.restart()
            assert (await asyncio.wait_for(call, 20)).message == only.name


async def test_a_call_that_waits_for_a_connection_ends_with_the_channel() -> None:
    async with (
        servers(1) as (only,),
        channel_to([only.target], **config(waitForReady=True)) as channel,
    ):
        await only.kill()
        call = asyncio.ensure_future(channel.call(method("Name"), b"", [], 100))
        await asyncio.sleep(0.2)
        assert not call.done()
        await channel.close()
        async with asyncio.timeout(5):
            assert (await failure(call)).code is Code.UNAVAILABLE


async def test_health_and_balance_come_from_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "service.json"
    value = {
        "loadBalancingConfig": [{"pick_first": {}}],
        "healthCheckConfig": {"serviceName": "library"},
        "unheard": 1,
    }
    file.write_text(json.dumps(value))
    async with servers(2, Health) as running:
        with caplog.at_level(logging.WARNING):
            targets = [one.target for one in running]
            async with channel_to(targets, grpc_service_config=file) as channel:
                # Until the answers about their health have come, the first of them may change.
                await names(channel, 1)
                assert isinstance(channel, UpstreamChannel)
                await until(lambda: {one.state for one in channel.report()} == {State.READY})
                assert len(set(await names(channel, 12))) == 1
        asked = [one.health.asked for one in running if one.health is not None]
        await until(lambda: asked == [["library"], ["library"]])
    assert "upstreams.library.grpc_service_config" in caplog.text
    assert "unheard is not known" in caplog.text


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (
            config(timeout="soon"),
            r"^upstreams.library.grpc_service_config: methodConfig\[0\].timeout: expected a dur",
        ),
        ({"grpc_service_config": Path("/nowhere/x.json")}, "/nowhere/x.json: No such file"),
        (
            {
                "retries": "off",
                "grpc_service_config": {"retryThrottling": {"maxTokens": 1, "tokenRatio": 1}},
            },
            "retryThrottling: has no effect with retries: off",
        ),
        (
            {
                "slow_start_s": 5,
                "grpc_service_config": {"loadBalancingConfig": [{"pick_first": {}}]},
            },
            r"grpc_service_config: what it sets \(balance\) does not go with .*: slow_start_s: has",
        ),
    ],
)
async def test_one_that_is_bad_keeps_the_gateway_from_starting(
    settings: dict[str, Any], text: str
) -> None:
    with pytest.raises(ServiceConfigError, match=text):
        async with channel_to(["127.0.0.1:1"], **settings):
            pass


async def test_a_file_that_is_not_json_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "service.json"
    for text in ("{", "[" * 100_000, "\ud800".encode("utf-8", "surrogatepass")):
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(ServiceConfigError, match="is not JSON"):
            async with channel_to(["127.0.0.1:1"], grpc_service_config=file):
                pass
