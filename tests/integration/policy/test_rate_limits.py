"""Rate and concurrency limits over real sockets, with counters here and in a real Redis."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from gateway.app.gateway import Gateway, open_gateway
from gateway.config.model import Config
from gateway.interceptors.rate_limits.rules import RateLimitError
from services import echo
from services.serving import serve
from tests.support.command_line import run
from tests.support.http import Answer, RawClient, connected
from tests.support.polling import first
from tests.support.redis_server import free_port, redis_server
from tests.support.stores import postgres_url, redis_url, store_url

__all__ = ["postgres_url", "redis_url", "store_url"]

Open = Callable[..., Awaitable[Gateway]]


@pytest.fixture
async def limited() -> AsyncIterator[Open]:
    """Opens gateways: `await limited({"max_concurrent": 1}, rate_limits={"store": ...})`."""
    async with AsyncExitStack() as stack:
        backend = await stack.enter_async_context(serve(echo.register))

        async def open_one(policy: Mapping[str, Any], **more: Any) -> Gateway:
            settings = {
                "listen": "127.0.0.1:0",
                "modules": ["gen.echo.v1"],
                "upstreams": {"echo": {"target": backend}},
                "log": {"access": "off"},
                "policies": [{"selector": "echo.v1.*", **policy}],
            }
            opening = open_gateway(Config.model_validate(settings | more))
            return await stack.enter_async_context(opening)

        yield open_one


def rates(*limits: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"rate_limits": limits}


def rate(limit: int, window_s: float, **more: str) -> Mapping[str, Any]:
    return {"limit": limit, "window_s": window_s, **more}


async def post(client: RawClient, target: str, body: Mapping[str, Any], *more: str) -> Answer:
    data = json.dumps(body)
    headers = ["Host: test", "Content-Type: application/json", f"Content-Length: {len(data)}"]
    lines = "\r\n".join([f"POST {target} HTTP/1.1", *headers, *more])
    await client.send(f"{lines}\r\n\r\n{data}")
    return await client.answer()


def values(answer: Answer, name: str) -> list[str]:
    return [value for key, value in answer.headers if key.lower() == name.lower()]


async def test_the_limit_holds_and_callers_know_it(limited: Open, store_url: str) -> None:
    gateway = await limited(rates(rate(2, 3600, name="hourly")), rate_limits={"store": store_url})
    async with connected(gateway) as client:
        first, second, third = [await client.get("/v1/echo/hello") for _ in range(3)]
    assert [first.status, second.status, third.status] == [200, 200, 429]
    assert values(first, "RateLimit-Policy") == ['"hourly";q=2;w=3600']
    assert values(first, "RateLimit") == ['"hourly";r=1;t=1800']
    assert values(second, "RateLimit")[0].startswith('"hourly";r=0;t=3')
    assert values(third, "RateLimit-Policy") == ['"hourly";q=2;w=3600']
    (retry_after,) = values(third, "Retry-After")
    assert 1790 <= int(retry_after) <= 1800
    assert values(third, "RateLimit") == [f'"hourly";r=0;t={retry_after}']


async def test_the_refusal_explains_itself(limited: Open) -> None:
    gateway = await limited(rates(rate(1, 60, name="books")))
    async with connected(gateway) as client:
        await client.get("/v1/echo/hello")
        error = (await client.get("/v1/echo/hello")).json()["error"]
    assert (error["code"], error["status"]) == (429, "RESOURCE_EXHAUSTED")
    quota, info, retry = error["details"]
    (violation,) = quota["violations"]
    assert violation["subject"] == "address:127.0.0.1"
    assert violation["description"] == "books: 1 in 60 s"
    assert info["reason"] == "RATE_LIMIT_EXCEEDED"
    assert info["metadata"]["limit"] == "books"
    assert info["metadata"]["service"] == "echo.v1.EchoService"
    assert retry["retryDelay"].endswith("s")


async def test_failures_and_streams_tell_it_too(limited: Open) -> None:
    gateway = await limited(rates(rate(9, 60, name="d")))
    async with connected(gateway) as client:
        failed = await client.get("/v1/echo:fail?code=5")
        assert failed.status == 404
        assert values(failed, "RateLimit")[0].startswith('"d";r=8;')
        streamed = await client.get("/v1/echo/a:repeat?count=2")
        assert streamed.status == 200
        assert values(streamed, "RateLimit")[0].startswith('"d";r=7;')
        malformed = await client.get("/v1/echo/a?number=x")
        assert malformed.status == 400
        assert values(malformed, "RateLimit")[0].startswith('"d";r=6;')


async def test_a_request_that_is_no_call_is_not_counted(limited: Open) -> None:
    gateway = await limited(rates(rate(1, 60)))
    async with connected(gateway) as client:
        for target in ("/nowhere", "/v1/echo", "/v1/%zz"):
            answer = await client.get(target)
            assert answer.status in (400, 404, 405)
            assert values(answer, "RateLimit") == []
        assert (await client.get("/v1/echo/hello")).status == 200


async def test_back_ends_cannot_speak_of_limits_that_are_not_theirs(limited: Open) -> None:
    gateway = await limited(rates(rate(9, 60, name="d")))
    lies = [{"name": n, "value": "lie"} for n in ("ratelimit", "ratelimit-policy", "x-other")]
    async with connected(gateway) as client:
        answer = await post(client, "/v1/echo:sendMetadata", {"headers": lies})
    assert answer.status == 200
    assert values(answer, "RateLimit-Policy") == ['"d";q=9;w=60']
    assert len(values(answer, "RateLimit")) == 1
    assert values(answer, "x-other") == ["lie"]


async def test_nor_can_they_in_trailers(limited: Open) -> None:
    gateway = await limited(rates(rate(9, 60, name="d")))
    lies = [{"name": n, "value": "lie"} for n in ("ratelimit", "x-other")]
    async with connected(gateway) as client:
        answer = await post(client, "/v1/echo:sendMetadata", {"trailers": lies}, "TE: trailers")
    assert values(answer, "trailer x-other") == ["lie"]
    assert values(answer, "trailer ratelimit") == []


async def test_what_back_ends_say_of_their_own_limits_passes_where_there_are_no_others(
    limited: Open,
) -> None:
    gateway = await limited(rates())
    own = [{"name": "ratelimit", "value": '"back";r=1;t=2'}]
    async with connected(gateway) as client:
        answer = await post(client, "/v1/echo:sendMetadata", {"headers": own})
    assert values(answer, "RateLimit") == ['"back";r=1;t=2']


@pytest.mark.parametrize(
    ("trusted", "statuses"),
    [
        pytest.param([], [200, 429, 429], id="a client that makes it up gains nothing"),
        pytest.param(["127.0.0.0/8"], [200, 200, 429], id="a proxy is believed"),
    ],
)
async def test_addresses_are_those_of_clients(
    limited: Open, trusted: list[str], statuses: list[int]
) -> None:
    gateway = await limited(rates(rate(1, 60)), forwarded={"trusted_proxies": trusted})
    async with connected(gateway) as client:
        answers = [
            await client.get("/v1/echo/hello", f"X-Forwarded-For: {address}")
            for address in ("192.0.2.1", "192.0.2.2", "192.0.2.1")
        ]
    assert [answer.status for answer in answers] == statuses


async def test_a_redis_that_goes_and_comes_back(limited: Open) -> None:
    port = free_port()
    store = f"redis://127.0.0.1:{port}/0"
    policy = rates(rate(1, 3600))
    lenient = await limited(policy, rate_limits={"store": store})
    closed = {"store": store, "on_store_failure": "closed"}
    strict = await limited(policy, rate_limits=closed)
    async with connected(lenient) as open_client, connected(strict) as closed_client:
        for _ in range(3):
            assert (await open_client.get("/v1/echo/hello")).status == 200
            refused = await closed_client.get("/v1/echo/hello")
            assert refused.status == 503
            assert values(refused, "Retry-After") == ["1"]
        with redis_server(port):
            for client in (open_client, closed_client):
                answer = await _until_counted(client)
                assert answer.status in (200, 429)
            assert (await open_client.get("/v1/echo/hello")).status == 429


async def test_without_redis_each_process_grants_its_part(limited: Open) -> None:
    port = free_port()
    counting = {
        "store": f"redis://127.0.0.1:{port}/0",
        "on_store_failure": "local",
        "processes": 3,
    }
    gateway = await limited(rates(rate(7, 3600, name="hourly")), rate_limits=counting)
    async with connected(gateway) as client:
        answers = [await client.get("/v1/echo/hello") for _ in range(3)]
        assert [answer.status for answer in answers] == [200, 200, 429]
        assert values(answers[0], "RateLimit")[0].startswith('"hourly";r=1;')
        with redis_server(port):
            answer = await first(
                lambda: client.get("/v1/echo/hello"), lambda one: one.status == 200
            )
            # Redis counts the whole limit again.
            assert values(answer, "RateLimit")[0].startswith('"hourly";r=6;')


def test_parts_of_limits_need_the_number_of_processes(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    settings = {"modules": ["gen.echo.v1"], "workers": 0}
    file.write_text(json.dumps({**settings, "rate_limits": {"on_store_failure": "local"}}))
    done = run("check", "--config", str(file))
    assert done.returncode != 0
    assert "local needs rate_limits.processes" in done.stderr


@pytest.mark.parametrize(("mode", "status"), [("open", 200), ("closed", 503), ("local", 200)])
async def test_a_store_that_says_nothing_holds_nobody_up(
    limited: Open, mode: str, status: int
) -> None:
    held: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: held.append(writer), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    store = {"store": f"redis://127.0.0.1:{port}/0", "timeout_s": 0.1, "on_store_failure": mode}
    gateway = await limited(rates(rate(20, 3600)), rate_limits=store)
    async with connected(gateway) as client, asyncio.timeout(5):
        for _ in range(20):
            assert (await client.get("/v1/echo/hello")).status == status
    for writer in held:
        writer.close()
    server.close()


async def test_redis_is_asked_once_for_a_call_however_many_limits_it_has(limited: Open) -> None:
    kinds = ("principal", "credential", "address", "method")
    limits = [rate(100, window_s, by=by) for window_s in (1, 60) for by in kinds]
    with redis_server() as url:
        gateway = await limited(rates(*limits), rate_limits={"store": url})
        async with connected(gateway) as client, Redis.from_url(url) as redis:
            await client.get("/v1/echo/hello")  # loads the script
            await redis.config_resetstat()
            for _ in range(5):
                answer = await client.get("/v1/echo/hello")
                assert len(values(answer, "RateLimit")[0].split(", ")) == 8
            asked = await redis.info("commandstats")
    assert asked["cmdstat_evalsha"]["calls"] == 5
    assert "cmdstat_eval" not in asked


async def _until_counted(client: RawClient) -> Answer:
    return await first(lambda: client.get("/v1/echo/hello"), lambda one: values(one, "RateLimit"))


async def test_a_header_is_one_however_it_is_spelled(limited: Open) -> None:
    gateway = await limited(rates(rate(1, 60, by="header", header="X-Tenant")))
    async with connected(gateway) as client:
        statuses = [
            (await client.get("/v1/echo/hello", header)).status
            for header in ("X-Tenant: a", "x-tenant: a", "X-TENANT: b")
        ]
    assert statuses == [200, 429, 200]


async def test_every_binding_and_head_take_from_the_limit_of_their_method(limited: Open) -> None:
    gateway = await limited(rates(rate(2, 60)))
    async with connected(gateway) as client:
        assert (await client.get("/v1/echo/hello")).status == 200
        await client.send("HEAD /v1/echo/hello HTTP/1.1\r\nHost: test\r\n\r\n")
        assert (await client.answer(head_only=True)).status == 200
        assert (await post(client, "/v1/echo", {"text": "a"})).status == 429


async def test_limits_that_cannot_be_held_keep_it_from_starting(limited: Open) -> None:
    with pytest.raises(RateLimitError, match=r"echo\.v1\.EchoService\.Echo: a call costs 5"):
        await limited({**rates(rate(4, 60)), "cost": 5})


def test_gateway_check_finds_them_too(tmp_path: Path) -> None:
    rules = [{"selector": "*", "cost": 5, "rate_limits": [{"limit": 4}]}]
    file = tmp_path / "gateway.yaml"
    file.write_text(json.dumps({"modules": ["gen.echo.v1"], "policies": rules}))
    done = run("check", "--config", str(file))
    assert done.returncode == 1
    assert "echo.v1.EchoService.Echo: a call costs 5" in done.stderr


@pytest.mark.parametrize(
    ("settings", "warns"),
    [
        pytest.param({"workers": 2}, True, id="many workers, each alone"),
        pytest.param({"workers": 1}, False, id="one worker"),
        pytest.param({"workers": 2, "auth": {"store": "S"}}, False, id="many, the store of auth"),
        pytest.param({"workers": 2, "rate_limits": {"store": "S"}}, False, id="many, a store"),
    ],
)
async def test_workers_that_count_alone_are_warned_of(
    limited: Open, tmp_path: Path, settings: Mapping[str, Any], warns: bool
) -> None:
    file = {"store": f"sqlite:///{tmp_path}/gateway.db"}
    told = {name: file if value == {"store": "S"} else value for name, value in settings.items()}
    gateway = await limited(rates(rate(4, 60)), **told)
    assert any("each worker counts calls alone" in line for line in gateway.warnings) is warns


# Concurrency


async def test_as_many_as_allowed_are_answered_at_once(limited: Open) -> None:
    gateway = await limited({"max_concurrent": 1})
    async with connected(gateway) as slow, connected(gateway) as quick:
        await slow.send("GET /v1/echo:sleep?duration=0.5s HTTP/1.1\r\nHost: test\r\n\r\n")
        refused = await _until(quick, "/v1/echo:sleep?duration=0s", 503)
        assert values(refused, "Retry-After") == ["1"]
        assert refused.json()["error"]["status"] == "UNAVAILABLE"
        assert (await quick.get("/v1/echo/hello")).status == 200
        assert (await slow.answer()).status == 200
        assert (await quick.get("/v1/echo:sleep?duration=0s")).status == 200


async def test_a_client_that_leaves_gives_its_place_back(limited: Open) -> None:
    gateway = await limited({"max_concurrent": 1})
    async with connected(gateway) as quick:
        async with connected(gateway) as slow:
            await slow.send("GET /v1/echo:sleep?duration=30s HTTP/1.1\r\nHost: test\r\n\r\n")
            await _until(quick, "/v1/echo:sleep?duration=0s", 503)
        await _until(quick, "/v1/echo:sleep?duration=0s", 200)


async def test_a_stream_holds_its_place_until_it_ends(limited: Open) -> None:
    gateway = await limited({"max_concurrent": 1})
    stream = "/v1/echo/a:repeat?count=1000&interval=0.02s"
    async with connected(gateway) as other:
        async with connected(gateway) as reader:
            await reader.send(f"GET {stream} HTTP/1.1\r\nHost: test\r\n\r\n")
            head = await reader.answer(head_only=True)
            assert head.status == 200
            for _ in range(2):
                assert (await other.get("/v1/echo/a:repeat?count=1")).status == 503
        await _until(other, "/v1/echo/a:repeat?count=1", 200)
        assert (await other.get("/v1/echo/a:repeat?count=1")).status == 200


async def _until(client: RawClient, target: str, status: int) -> Answer:
    return await first(lambda: client.get(target), lambda answer: answer.status == status)
