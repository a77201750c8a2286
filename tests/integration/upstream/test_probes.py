"""Health checks of endpoints by HTTP and by connecting, and how often they are made."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.config.health_checks import HealthCheckOptions
from gateway.config.upstreams import Upstream
from gateway.upstream.balancing import Balancing
from gateway.upstream.endpoint import Endpoint
from gateway.upstream.pool import PoolError, open_pool
from tests.support.balanced import balanced, channel_to, names, servers, states
from tests.support.health import Health
from tests.support.polling import still, until

OFTEN = {"interval_s": 0.03, "timeout_s": 1}


class Answers:
    """A server that answers each request with the same bytes."""

    def __init__(self) -> None:
        self.answer = b"HTTP/1.1 200 OK\r\n\r\n"
        self.requests: list[bytes] = []
        self.port = 0

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(self.answer)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def answers() -> AsyncIterator[Answers]:
    found = Answers()
    async with await asyncio.start_server(found.take, "127.0.0.1", 0) as server:
        found.port = server.sockets[0].getsockname()[1]
        yield found


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", "its health check was answered with 503"),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "its health check was answered with 404"),
        (b"SSH-2.0-server\r\n", "the answer to its health check is not HTTP/1"),
        (b"x" * 5000, "the answer to its health check is not HTTP/1"),
        (b"", "its health check failed: the connection was closed"),
    ],
    ids=["503", "404", "another protocol", "no line", "nothing"],
)
async def test_an_endpoint_is_well_while_a_path_is_answered_as_expected(
    answer: bytes, reason: str
) -> None:
    async with answers() as web:
        health = {"kind": "http", "path": "/healthz", "port": web.port, "expect": [200, 204]}
        async with balanced(2, health=health | OFTEN) as (both, channel):
            web.answer = answer
            expected = {one.target: ("unhealthy", reason) for one in both}
            await until(lambda: states(channel) == expected)
            web.answer = b"HTTP/1.1 204 No Content\r\n\r\n"
            await until(lambda: {state for state, _ in states(channel).values()} == {"ready"})
        first = web.requests[0].decode().split("\r\n")
    assert first[0] == "GET /healthz HTTP/1.1"
    assert first[1] == f"Host: 127.0.0.1:{web.port}"
    assert first[2].startswith("User-Agent: grpc-rest-gateway")


async def test_a_status_of_500_counts_at_once_and_others_in_a_row() -> None:
    async with answers() as web:
        health: dict[str, Any] = {"kind": "http", "port": web.port, "unhealthy": 100}
        async with balanced(1, health=health | OFTEN) as ((only,), channel):
            web.answer = b"HTTP/1.1 404 Not Found\r\n\r\n"
            count = len(web.requests)
            await until(lambda: len(web.requests) > count + 5)
            assert states(channel)[only.target][0] == "ready"
            web.answer = b"HTTP/1.1 500 Internal Server Error\r\n\r\n"
            count = len(web.requests)
            await until(lambda: states(channel)[only.target][0] == "unhealthy")
            assert len(web.requests) - count < 50


async def test_by_tcp_it_is_enough_that_the_port_is_open() -> None:
    async with balanced(2, health={"kind": "tcp"} | OFTEN) as (both, channel):
        assert set(await names(channel, 8)) == {one.name for one in both}


async def test_by_tcp_an_endpoint_whose_port_is_closed_is_not_well() -> None:
    async with answers() as web:
        health = {"kind": "tcp", "port": web.port} | OFTEN
    async with servers(1) as (only,), channel_to([only.target], health=health) as channel:
        await names(channel, 1)
        refused = ("unhealthy", "its health check failed: Connection refused")
        await until(lambda: states(channel)[only.target] == refused)


async def test_endpoints_without_calls_are_asked_seldom() -> None:
    quiet = {"watch": False, "interval_s": 0.02, "quiet_interval_s": 1}
    async with balanced(1, Health, health=quiet) as ((only,), channel):
        assert only.health is not None
        asked = only.health.asked
        await until(lambda: len(asked) >= 5)
        await still(lambda: len(asked))
        await names(channel, 1)
        before = len(asked)
        await until(lambda: len(asked) >= before + 5)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"kind": "tcp", "path": "/x"}, "path: has no effect with kind: tcp"),
        ({"kind": "http", "service": "x"}, "service: has no effect with kind: http"),
        ({"port": 80}, "port: has no effect with kind: grpc"),
        ({"kind": "http", "path": "/x y"}, "path"),
        ({"kind": "http", "path": "/x\r\nA: b"}, "path"),
        ({"kind": "http", "path": "x"}, "path"),
    ],
)
def test_options_of_another_kind_are_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        HealthCheckOptions.model_validate(options)


class OwnCheck:
    """A health check of a program's own."""

    def __init__(self) -> None:
        self.outcomes: dict[str, str | OSError | float] = {}
        """By address: the reason, an error, or the seconds that it takes."""
        self.asked: list[str] = []

    async def check(self, endpoint: Endpoint) -> str:
        address = str(endpoint)
        self.asked.append(address)
        outcome = self.outcomes.get(address, "")
        if isinstance(outcome, OSError):
            raise outcome
        if isinstance(outcome, float):
            await asyncio.sleep(outcome)
            return ""
        return outcome


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        ("it is 30 s behind", "it is 30 s behind"),
        (OSError("no way"), "its health check failed: no way"),
        (60.0, "its health check had no answer in 0.2 s"),
    ],
)
async def test_a_program_may_check_the_endpoints_itself(
    outcome: str | OSError | float, reason: str
) -> None:
    own = OwnCheck()
    async with servers(2) as (one, two):
        own.outcomes[one.target] = outcome
        settings = {
            "targets": [{"address": at.target} for at in (one, two)],
            "health": OFTEN | {"timeout_s": 0.2},
        }
        upstream, balancing = Upstream.model_validate(settings), Balancing({}, {}, {"library": own})
        async with open_pool({"library": upstream}, balancing) as pool:
            channel = pool["library"]
            await names(channel, 1)
            await until(lambda: states(channel)[one.target] == ("unhealthy", reason))
            assert set(await names(channel, 6)) == {two.name}
            own.outcomes.clear()
            await until(lambda: states(channel)[one.target][0] == "ready")
        assert set(own.asked) == {one.target, two.target}
        # It needs no setting: then it has the times of the defaults, the first check is at once.
        own.asked.clear()
        plain = Upstream.model_validate({"targets": settings["targets"]})
        async with open_pool({"library": plain}, balancing) as pool:
            await names(pool["library"], 1)
            await until(lambda: len(own.asked) == 2)


@pytest.mark.parametrize(
    ("name", "channel", "says"),
    [
        ("other", "http2", "there is no such upstream"),
        ("library", "grpcio", "needs channel: http2"),
    ],
)
async def test_a_check_that_would_never_be_asked_is_refused(
    name: str, channel: str, says: str
) -> None:
    upstream = Upstream.model_validate({"target": "127.0.0.1:1", "channel": channel})
    with pytest.raises(PoolError, match=says):
        async with open_pool({"library": upstream}, Balancing({}, {}, {name: OwnCheck()})):
            pass
