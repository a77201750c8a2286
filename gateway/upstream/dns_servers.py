"""Asks DNS servers for endpoints of a name or a service, and its service config (RFC 1035, 2782).

The resolver of the system asks only the servers of the system, and knows no SRV records. Answers
are taken only from the address that was asked, with the random id and the name of the question; a
truncated one is asked for again over TCP (dnspython).
"""

import asyncio
import errno
from collections.abc import Sequence
from itertools import groupby
from typing import Any, Protocol, cast

import dns.asyncbackend
import dns.asyncresolver
import dns.exception
import dns.message
import dns.nameserver
import dns.resolver

from gateway.config.targets import DnsTarget
from gateway.config.upstreams import Family
from gateway.upstream.endpoint import Endpoint, Resolver
from gateway.upstream.resolving import MOST_ENDPOINTS, endpoints_at

_TRY_S, _QUESTION_S = 2.0, 5.0
"""Seconds for the answer of one server, and for all attempts of one question."""
_MOST_SERVICES = 100
"""The most SRV records of one answer that are followed: each takes two more questions."""
_AT_ONCE = 16
"""The questions to the same servers at one time."""


class _Srv(Protocol):
    """The fields of an SRV record (RFC 2782)."""

    priority: int
    weight: int
    port: int
    target: object


class _Txt(Protocol):
    """The fields of a TXT record."""

    strings: tuple[bytes, ...]


class _Server(dns.nameserver.Do53Nameserver):
    """A server whose large answers are read in a thread.

    Over UDP an answer has 512 bytes. One over TCP may have 64 KiB, and to read that takes a quarter
    of a second, in which the event loop must serve others.
    """

    async def async_query(self, *args: Any, **options: Any) -> dns.message.Message:
        """Asks once: over TCP if `max_size`, else over UDP; with the options of the package."""
        if not options["max_size"]:
            return await super().async_query(*args, **options)
        options.pop("backend")
        return await asyncio.to_thread(self.query, *args, **options)


class DnsServers:
    """One DNS server, or those that the system has."""

    def __init__(self, server: str, port: int) -> None:
        self._server = server
        self._port = port
        self._free = asyncio.Semaphore(_AT_ONCE)

    async def ask(self, name: str, kind: str) -> list[object]:
        """The records of `kind` that `name` has, through at most 16 aliases; empty if the name does
        not exist, or has none.

        Raises:
            OSError: there was no answer in 5 s, or one that says that there is none now.
        """
        async with self._free:
            try:
                answer = await self._resolver().resolve(
                    name if name.endswith(".") else f"{name}.",
                    kind,
                    raise_on_no_answer=False,
                    lifetime=_QUESTION_S,
                    backend=dns.asyncbackend.get_backend("asyncio"),
                )
            except dns.resolver.NXDOMAIN:
                return []
            except dns.resolver.NoResolverConfiguration:
                raise _failed("the system has no DNS servers") from None
            except dns.exception.Timeout:
                host = f"[{self._server}]" if ":" in self._server else self._server
                at = f"{host}:{self._port}" if host else "the system's DNS servers"
                raise _failed(f"no answer from {at} to {kind} of {name}") from None
            except dns.exception.DNSException as error:
                raise _failed(str(error)[:300]) from None
        return [] if answer.rrset is None else list(answer.rrset)

    def _resolver(self) -> dns.asyncresolver.Resolver:
        """A resolver for one question; that of the system is made anew, as its file changes."""
        resolver = dns.asyncresolver.Resolver(configure=not self._server)
        servers = [self._server] if self._server else resolver.nameservers
        resolver.nameservers = [_Server(str(one), self._port or resolver.port) for one in servers]
        resolver.timeout = _TRY_S
        return resolver

    async def endpoints(self, host: str, port: int, family: Family) -> Sequence[Endpoint]:
        """One endpoint for each address of `host`, as `family` says.

        Raises:
            OSError: one of the questions has failed; half of an answer would change all endpoints.
        """
        kinds = {"AAAA": family is not Family.V4, "A": family is not Family.V6}
        async with asyncio.TaskGroup() as tasks:
            asked = [
                tasks.create_task(self._addresses(host, kind)) if is_wanted else None
                for kind, is_wanted in kinds.items()
            ]
        v6, v4 = ([] if one is None else one.result() for one in asked)
        return endpoints_at(
            [f"[{address}]:{port}" for address in v6],
            [f"{address}:{port}" for address in v4],
            family,
        )

    async def _addresses(self, host: str, kind: str) -> list[str]:
        return [str(record) for record in await self.ask(host, kind)]


def resolver_of(target: DnsTarget, family: Family) -> Resolver:
    """The resolver of a name or of a service."""
    return (ServiceResolver if target.is_service else NameResolver)(target, family)


class NameResolver:
    """Finds the addresses of a name at DNS servers."""

    def __init__(self, target: DnsTarget, family: Family) -> None:
        self._servers = DnsServers(target.server, target.server_port)
        self._name = target.name
        self._port = int(target.authority.rpartition(":")[2])
        self._family = family

    async def resolve(self) -> Sequence[Endpoint]:
        """One endpoint for each address; see `Resolver.resolve`."""
        try:
            found = await self._servers.endpoints(self._name, self._port, self._family)
        except ExceptionGroup as failures:
            raise _first(failures) from None
        return found[:MOST_ENDPOINTS]


class ServiceResolver:
    """Finds the servers of a service: those of its SRV records."""

    def __init__(self, target: DnsTarget, family: Family) -> None:
        self._servers = DnsServers(target.server, target.server_port)
        self._name = target.name
        self._family = family

    async def resolve(self) -> Sequence[Endpoint]:
        """One endpoint for each address of each record, with its priority and weight.

        Raises:
            OSError: as `Resolver.resolve`; also if one of the records cannot be followed now.
        """
        records = cast("list[_Srv]", await self._servers.ask(self._name, "SRV"))
        # The name "." says that there is no such service (RFC 2782).
        able = [one for one in records if str(one.target) != "."]
        able.sort(key=lambda one: (one.priority, -one.weight))
        found: dict[tuple[str, ...], Endpoint] = {}
        try:
            async with asyncio.TaskGroup() as tasks:
                asked = [
                    (one, weight, tasks.create_task(self._endpoints(one)))
                    for one, weight in _weighted(able[:_MOST_SERVICES])
                ]
        except ExceptionGroup as failures:
            raise _first(failures) from None
        for one, weight, task in asked:
            for at in task.result():
                found.setdefault(at.addresses, Endpoint(at.addresses, weight, one.priority))
        return list(found.values())[:MOST_ENDPOINTS]

    async def _endpoints(self, record: _Srv) -> Sequence[Endpoint]:
        return await self._servers.endpoints(str(record.target), record.port, self._family)


class ConfigResolver:
    """Finds the service config of a name: the TXT records of `_grpc_config.NAME` (gRFC A2)."""

    def __init__(self, target: DnsTarget | None, host: str) -> None:
        """`target` has the servers; without it, those of the system are asked."""
        server, port = ("", 0) if target is None else (target.server, target.server_port)
        self._servers = DnsServers(server, port)
        self._name = f"_grpc_config.{host}"

    async def resolve(self) -> Sequence[str]:
        """The texts of the records; see `Resolver.resolve`."""
        records = cast("list[_Txt]", await self._servers.ask(self._name, "TXT"))
        # A text over 255 bytes is in several strings (RFC 1035 section 3.3.14).
        return [b"".join(one.strings).decode(errors="replace") for one in records]


def _weighted(records: Sequence[_Srv]) -> list[tuple[_Srv, int]]:
    """The records with the weights of their endpoints, which are at least 1.

    A weight of 0 means very seldom (RFC 2782): a tenth of the smallest other one of its priority;
    if all are 0, they are alike.
    """
    found: list[tuple[_Srv, int]] = []
    for _, group in groupby(records, key=lambda one: one.priority):
        level = list(group)
        weights = [one.weight for one in level if one.weight]
        if len(weights) == len(level):
            found += [(one, one.weight) for one in level]
        else:
            least = min(weights, default=1)
            found += [(one, one.weight * 10 or least) for one in level]
    return found


def _failed(reason: str) -> OSError:
    return OSError(errno.EIO, reason)


def _first(failures: Exception) -> Exception:
    """Returns the first of several failures, which may be in groups themselves."""
    failure = failures
    while isinstance(failure, ExceptionGroup):
        failure = failure.exceptions[0]
    return failure
