"""Names and services of a DNS server of one's own, by a real one over UDP and TCP."""

import asyncio
import logging
from collections.abc import AsyncIterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import dns.rcode
import pytest

from gateway.config.targets import dns_target
from gateway.config.upstreams import Family
from gateway.upstream.dns_servers import resolver_of
from gateway.upstream.endpoint import Endpoint, Resolver
from gateway.upstream.interfaces import UpstreamChannel
from tests.support.balanced import channel_at, names, servers, spreads
from tests.support.dns_server import DnsServer, dns_server
from tests.support.polling import until

ADDRESSES = ("10.0.0.1", "10.0.0.2")


@pytest.fixture
async def server() -> AsyncIterator[DnsServer]:
    async with dns_server(ADDRESSES) as running:
        yield running


class Threads(ThreadPoolExecutor):
    """Threads that count what they are given."""

    given = 0

    def submit(self, *args: Any, **options: Any) -> Future[Any]:
        """Runs a function."""
        self.given += 1
        return super().submit(*args, **options)


def resolver(
    server: DnsServer, name: str = "library.test:5", family: Family = Family.AUTO
) -> Resolver:
    target = dns_target(f"dns://127.0.0.1:{server.port}/{name}")
    assert target is not None
    return resolver_of(target, family)


def services(server: DnsServer, name: str = "_grpc._tcp.library.test") -> Resolver:
    target = dns_target(f"srv://127.0.0.1:{server.port}/{name}")
    assert target is not None
    return resolver_of(target, Family.V4)


def at(*addresses: str) -> list[Endpoint]:
    return [Endpoint((one,)) for one in addresses]


async def test_each_address_of_a_name_is_an_endpoint(server: DnsServer) -> None:
    found = await resolver(server).resolve()
    assert sorted(found, key=str) == at("10.0.0.1:5", "10.0.0.2:5")
    server.records["library.test", "AAAA"] = ["::1"]
    assert await resolver(server, family=Family.V6).resolve() == at("[::1]:5")
    assert len(await resolver(server, family=Family.BOTH).resolve()) == 3


async def test_no_such_name_is_an_empty_answer(server: DnsServer) -> None:
    server.failure = dns.rcode.NXDOMAIN
    assert await resolver(server).resolve() == []
    assert await services(server).resolve() == []
    server.failure, server.addresses = dns.rcode.NOERROR, ()
    assert await resolver(server).resolve() == []


async def test_a_server_that_cannot_say_is_a_failed_lookup(server: DnsServer) -> None:
    server.failure = dns.rcode.SERVFAIL
    with pytest.raises(OSError, match="SERVFAIL"):
        await resolver(server).resolve()
    with pytest.raises(OSError, match="SERVFAIL"):
        await services(server).resolve()


async def test_half_an_answer_is_none(server: DnsServer) -> None:
    server.failures["AAAA"] = dns.rcode.SERVFAIL
    with pytest.raises(OSError, match=r"library\.test\. IN AAAA"):
        await resolver(server).resolve()
    assert len(await resolver(server, family=Family.V4).resolve()) == 2


async def test_silence_ends_in_a_failure_with_the_server(
    server: DnsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.upstream.dns_servers._TRY_S", 0.1)
    monkeypatch.setattr("gateway.upstream.dns_servers._QUESTION_S", 0.3)
    server.is_silent = True
    with pytest.raises(OSError, match=f"no answer from 127.0.0.1:{server.port} to A"):
        await resolver(server, family=Family.V4).resolve()
    assert server.asked > 1


async def test_a_truncated_answer_is_asked_for_over_tcp(server: DnsServer) -> None:
    server.addresses = [f"10.0.{n // 250}.{n % 250 + 1}" for n in range(1200)]
    server.is_truncated = True
    threads = Threads()
    asyncio.get_running_loop().set_default_executor(threads)
    found = await resolver(server, family=Family.V4).resolve()
    assert server.over == ["udp", "tcp"]
    assert len(found) == 1000
    assert threads.given == 1  # to read it takes too long for the event loop


async def test_answers_that_nobody_asked_for_are_ignored(server: DnsServer) -> None:
    server.forged = ("192.0.2.66",)
    found = await resolver(server, family=Family.V4).resolve()
    assert sorted(found, key=str) == at("10.0.0.1:5", "10.0.0.2:5")


async def test_ids_and_ports_cannot_be_foretold(server: DnsServer) -> None:
    asking = resolver(server, family=Family.V4)
    for _ in range(20):
        await asking.resolve()
    steps = {b - a for a, b in zip(server.ids, server.ids[1:], strict=False)}
    assert len(set(server.ids)) > 15
    assert len(steps) > 15
    assert len(set(server.client_ports)) > 10


async def test_aliases_are_followed_but_not_for_ever(server: DnsServer) -> None:
    server.records["library.test", "CNAME"] = ["a.test."]
    found = await resolver(server, family=Family.V4).resolve()
    assert sorted(found, key=str) == at("10.0.0.1:5", "10.0.0.2:5")
    server.records["a.test", "CNAME"] = ["library.test."]
    with pytest.raises(OSError, match="library"):
        await resolver(server, family=Family.V4).resolve()


async def test_srv_records_have_port_priority_and_weight(server: DnsServer) -> None:
    server.addresses = ()
    for host, address in (("a", "10.0.0.1"), ("b", "10.0.0.2"), ("c", "10.0.0.3")):
        server.records[f"{host}.test", "A"] = [address]
    server.records["_grpc._tcp.library.test", "SRV"] = [
        "0 3 50051 a.test.",
        "0 0 50052 b.test.",
        "10 0 50053 c.test.",
        "20 1 50051 a.test.",  # there already
    ]
    assert await services(server).resolve() == [
        Endpoint(("10.0.0.1:50051",), 30, 0),
        Endpoint(("10.0.0.2:50052",), 3, 0),
        Endpoint(("10.0.0.3:50053",), 1, 10),
    ]


async def test_a_point_says_that_there_is_no_such_service(server: DnsServer) -> None:
    server.records["_grpc._tcp.library.test", "SRV"] = ["0 0 0 ."]
    assert await services(server).resolve() == []


async def test_a_record_that_cannot_be_followed_fails_the_lookup(server: DnsServer) -> None:
    server.records["_grpc._tcp.library.test", "SRV"] = ["0 1 5 a.test.", "0 1 5 b.test."]
    server.failures["A"] = dns.rcode.REFUSED
    with pytest.raises(OSError, match="REFUSED"):
        await services(server).resolve()


async def test_a_failure_is_said_once_and_its_end_too(
    server: DnsServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    def events() -> list[str]:
        found = [getattr(one, "gateway_event", "") for one in caplog.records]
        return [one.removeprefix("gateway.upstream.") for one in found if "lookup" in one]

    options = {"refresh_s": 0.05, "min_interval_s": 0.05, "empty_grace_s": 0}
    async with channel_at(f"dns://127.0.0.1:{server.port}/library.test:5", dns=options) as channel:
        assert isinstance(channel, UpstreamChannel)
        await channel.connect(5)
        assert events() == []
        server.failure = dns.rcode.NXDOMAIN
        asked = server.asked
        await until(lambda: server.asked > asked + 4)
        assert events() == ["lookup_failed"]
        server.failure = dns.rcode.NOERROR
        await until(lambda: len(events()) > 1)
        assert events() == ["lookup_failed", "lookup_restored"]


async def test_calls_follow_a_service_and_its_priorities() -> None:
    async with dns_server(("127.0.0.1",)) as asked_of, servers(3) as running:
        ports = [one.target.rpartition(":")[2] for one in running]
        service = ("_grpc._tcp.library.test", "SRV")
        asked_of.records[service] = [
            f"{priority} 1 {port} a.test." for priority, port in zip((0, 0, 1), ports, strict=True)
        ]
        target = f"srv://127.0.0.1:{asked_of.port}/_grpc._tcp.library.test"
        options = {"refresh_s": 0.1, "min_interval_s": 0.05}
        async with channel_at(target, dns=options) as channel:
            await spreads(channel, 2)
            first = set(await names(channel, 20))
            assert len(first) == 2
            asked_of.failure = dns.rcode.SERVFAIL
            asked = asked_of.asked
            await until(lambda: asked_of.asked > asked + 1)
            assert set(await names(channel, 20)) == first  # the last answer stays in use
            asked_of.failure = dns.rcode.NOERROR
            asked_of.records[service] = [f"0 1 {ports[2]} a.test."]
            async with asyncio.timeout(10):
                while set(await names(channel, 4)) & first:  # noqa: ASYNC110 - other calls' answers
                    await asyncio.sleep(0.02)
