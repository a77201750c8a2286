"""A service config in TXT records, by a real DNS server and real servers."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import dns.rcode
import pytest

from gateway.status import Code, StatusError
from gateway.upstream.channels.channel import Channel
from gateway.upstream.interfaces import ChecksMethods
from tests.support.balanced import channel_at, servers
from tests.support.calls import failure
from tests.support.dns_server import DnsServer, dns_server
from tests.support.grpc_backend import SERVICE, method
from tests.support.polling import until
from tests.support.upstream_server import Server

RECORD = ("_grpc_config.library.test", "TXT")
NAME = {"service": SERVICE, "method": "Name"}


def text(*choices: dict[str, Any]) -> list[str]:
    """A record with these choices, in strings of at most 255 bytes."""
    written = "grpc_config=" + json.dumps(choices)
    parts = [written[at : at + 200] for at in range(0, len(written), 200)]
    return [" ".join(json.dumps(one) for one in parts)]


def most(size: int) -> dict[str, Any]:
    """A config by which requests have at most so many bytes: easily seen in a call."""
    return {"methodConfig": [{"name": [NAME], "maxRequestMessageBytes": size}]}


@pytest.fixture
async def server() -> AsyncIterator[DnsServer]:
    async with dns_server(("127.0.0.1",)) as running:
        yield running


def options(server: DnsServer, one: Server, **more: Any) -> dict[str, Any]:
    """The settings of an upstream whose names and service config are asked for often."""
    port = one.target.rpartition(":")[2]
    often = {"refresh_s": 0.05, "min_interval_s": 0.05, "empty_grace_s": 0.1}
    return {
        "target": f"dns://127.0.0.1:{server.port}/library.test:{port}",
        "dns": often | {"service_config": True} | more,
    }


@asynccontextmanager
async def channel(
    server: DnsServer, dns: dict[str, Any] | None = None, **more: Any
) -> AsyncIterator[Channel]:
    async with AsyncExitStack() as stack:
        (one,) = await stack.enter_async_context(servers(1))
        settings = options(server, one, **(dns or {})) | more
        yield await stack.enter_async_context(channel_at(**settings))


async def size_limit(opened: Channel) -> int:
    """The largest request that is sent: 10, 20, or 30 for more."""
    for size in (11, 21):
        with suppress(StatusError):
            await opened.call(method("Name"), b"x" * size, [], 5)
            continue
        return size - 1
    return 30


async def becomes(opened: Channel, size: int) -> None:
    async with asyncio.timeout(10):
        while await size_limit(opened) != size:  # noqa: ASYNC110 - seen in calls only
            await asyncio.sleep(0.02)


def event(record: logging.LogRecord) -> str:
    return str(getattr(record, "gateway_event", ""))


async def test_the_first_call_waits_for_it_and_changes_are_followed(
    server: DnsServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "gateway.upstream")
    server.records[RECORD] = text({"serviceConfig": most(10)})
    async with channel(server) as opened:
        assert await size_limit(opened) == 10
        server.records[RECORD] = text({"serviceConfig": most(20)})
        await becomes(opened, 20)
        server.records[RECORD] = []
        await becomes(opened, 30)
    events = [event(one) for one in caplog.records]
    assert events.count("gateway.upstream.service_config_changed") == 3


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (["grpc_config=nonsense"], "expected JSON after grpc_config="),
        (["grpc_config=5"], "grpc_config=: expected a list"),
        ([*text({"serviceConfig": most(20)}), *text({"serviceConfig": most(30)})], "not 2"),
        (
            text({"serviceConfig": most(20)}, {"serviceConfig": 5}),
            "[1].serviceConfig: expected an object",
        ),
        (
            text({"serviceConfig": most(20), "percentage": 101}),
            "[0].percentage: expected a whole number",
        ),
        (text({"serviceConfig": most(20) | {"retryThrottling": {}}}), "maxTokens"),
    ],
)
async def test_a_bad_one_or_none_now_changes_nothing_and_is_said(
    server: DnsServer, bad: list[str], says: str, caplog: pytest.LogCaptureFixture
) -> None:
    server.records[RECORD] = text({"serviceConfig": most(10)})
    async with channel(server, dns={"empty_grace_s": 60}) as opened:
        assert await size_limit(opened) == 10
        server.records[RECORD] = bad
        await until(lambda: "the service config that DNS has is not used" in caplog.text)
        (record,) = [one for one in caplog.records if "is not used" in one.message]
        assert record.levelno == logging.WARNING
        assert event(record) == "gateway.upstream.service_config_refused"
        assert says in record.getMessage()
        assert await size_limit(opened) == 10
        server.failures["TXT"] = dns.rcode.SERVFAIL
        await until(lambda: "its service config cannot be resolved" in caplog.text)
        assert await size_limit(opened) == 10


async def test_hedging_that_may_do_harm_changes_nothing(
    server: DnsServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.records[RECORD] = text({"serviceConfig": most(10)})
    async with channel(server) as opened:
        assert isinstance(opened, ChecksMethods)
        opened.check([method("Name")])
        assert await size_limit(opened) == 10
        entry = {"name": [NAME], "hedgingPolicy": {"maxAttempts": 2}}
        server.records[RECORD] = text({"serviceConfig": {"methodConfig": [entry]}})
        await until(lambda: "hedgingPolicy for" in caplog.text)
        assert await size_limit(opened) == 10


def choices() -> Iterator[tuple[dict[str, Any], bool]]:
    yield {"clientLanguage": ["go", "Python"]}, True
    yield {"clientLanguage": ["go"]}, False
    yield {"percentage": 0}, False
    yield {"percentage": 100}, True
    yield {"clientHostname": ["no.such.host"]}, False
    yield {"x": 5}, True


@pytest.mark.parametrize(("condition", "fits"), list(choices()))
async def test_the_first_choice_that_fits_counts(
    server: DnsServer, condition: dict[str, Any], fits: bool
) -> None:
    server.records[RECORD] = text(
        condition | {"serviceConfig": most(10)}, {"serviceConfig": most(20)}
    )
    async with channel(server) as opened:
        assert await size_limit(opened) == (10 if fits else 20)


async def test_without_it_the_settings_hold(server: DnsServer) -> None:
    settings = {"grpc_service_config": most(20)}
    async with channel(server, **settings) as opened:
        assert await size_limit(opened) == 20
        server.records[RECORD] = text({"serviceConfig": most(10)})
        await becomes(opened, 10)


async def test_an_answer_without_a_change_opens_nothing(
    server: DnsServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    server.records[RECORD] = text({"serviceConfig": most(10)})
    async with channel(server) as opened:
        assert await size_limit(opened) == 10
        asked = server.asked
        await until(lambda: server.asked > asked + 10)
    assert caplog.text.count("uses a service config of DNS") == 1


async def test_it_is_not_read_unless_the_settings_say_so(server: DnsServer) -> None:
    server.records[RECORD] = text({"serviceConfig": most(10)})
    async with channel(server, dns={"service_config": False}) as opened:
        assert await size_limit(opened) == 30


async def test_calls_under_way_end_on_the_old_connections(
    server: DnsServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    server.records[RECORD] = text({"serviceConfig": most(20)})
    async with servers(1) as (one,), channel_at(**options(server, one)) as opened:
        one.pause()
        slow = asyncio.ensure_future(opened.call(method("Name"), b"", [], 10))
        await until(lambda: one.waiting == 1)
        server.records[RECORD] = text({"serviceConfig": most(10)})
        await until(lambda: caplog.text.count("uses a service config of DNS") == 2)
        one.go_on()
        assert (await slow).message == one.name
        assert await size_limit(opened) == 10


async def test_a_call_that_is_out_of_time_fails_as_such(
    server: DnsServer,
) -> None:
    server.is_silent = True
    async with channel(server) as opened:
        late = await failure(opened.call(method("Name"), b"", [], 0.1))
        assert late.code is Code.DEADLINE_EXCEEDED
