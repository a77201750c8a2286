"""A small DNS server over UDP and TCP on loopback, whose answers a test changes (RFC 1035)."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import cast

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

_TTL_S = 1
_RETRIES = 20


class DnsServer(asyncio.DatagramProtocol):
    """Answers with the records of the asked name, and else with `addresses`, if it has any."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self.addresses = addresses
        """The A records of every name."""
        self.records: dict[tuple[str, str], Sequence[str]] = {}
        """The records of a name and kind, as text: `("a.test", "SRV"): ["1 5 50051 b.test."]`."""
        self.failure = dns.rcode.NOERROR
        """The code of every answer, which then has no records."""
        self.failures: dict[str, dns.rcode.Rcode] = {}
        """The code of answers to one kind of question."""
        self.is_silent = False
        self.is_truncated = False
        """Over UDP, answers without records that say that they are truncated."""
        self.forged: Sequence[str] = ()
        """Addresses in answers that nobody asked for, sent before the right one."""
        self.asked = 0
        self.over: list[str] = []
        """The transport of each question."""
        self.ids: list[int] = []
        self.client_ports: list[int] = []
        self.port = 0
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the socket."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answers a question over UDP."""
        assert self._transport is not None
        query = self._asked(data, "udp")
        self.client_ports.append(addr[1])
        if self.is_silent:
            return
        for forged in _forged(query, self.forged):
            self._transport.sendto(forged, addr)
        if self.forged:  # the right id and name, from another address
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
                other.bind(("127.0.0.1", 0))
                other.sendto(_with_addresses(query, self.forged).to_wire(), addr)
        answer = self._answer(query)
        if self.is_truncated:
            answer.answer.clear()
            answer.flags |= dns.flags.TC
        self._transport.sendto(answer.to_wire(), addr)

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers one question over TCP."""
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            length = int.from_bytes(await reader.readexactly(2), "big")
            query = self._asked(await reader.readexactly(length), "tcp")
            wire = self._answer(query).to_wire()
            writer.write(len(wire).to_bytes(2, "big") + wire)
            await writer.drain()
        writer.close()

    def _asked(self, data: bytes, over: str) -> dns.message.Message:
        query = dns.message.from_wire(data)
        self.asked += 1
        self.over.append(over)
        self.ids.append(query.id)
        return query

    def _answer(self, query: dns.message.Message) -> dns.message.Message:
        question = query.question[0]
        kind = dns.rdatatype.to_text(question.rdtype)
        answer = dns.message.make_response(query, recursion_available=True)
        failure = self.failure or self.failures.get(kind, dns.rcode.NOERROR)
        answer.set_rcode(failure)
        if failure:
            return answer
        owner, found = question.name, self._records(question.name, kind)
        for _ in range(50):  # a chain of aliases may have no end
            alias = self.records.get((owner.to_text(omit_final_dot=True), "CNAME"))
            if found or not alias:
                break
            answer.answer.append(dns.rrset.from_text(owner, _TTL_S, "IN", "CNAME", *alias))
            owner = dns.name.from_text(alias[0])
            found = self._records(owner, kind)
        if found:
            answer.answer.append(dns.rrset.from_text(owner, _TTL_S, "IN", kind, *found))
        return answer

    def _records(self, name: dns.name.Name, kind: str) -> Sequence[str]:
        text = name.to_text(omit_final_dot=True)
        known = self.records.get((text, kind))
        if known is not None:
            return known
        has_alias = (text, "CNAME") in self.records
        return self.addresses if kind == "A" and not has_alias else ()


def _with_addresses(query: dns.message.Message, addresses: Sequence[str]) -> dns.message.Message:
    answer = dns.message.make_response(query)
    name = query.question[0].name
    answer.answer.append(dns.rrset.from_text(name, _TTL_S, "IN", "A", *addresses))
    return answer


def _forged(query: dns.message.Message, addresses: Sequence[str]) -> Iterable[bytes]:
    """Answers from the right address: with a wrong id, to another question, and no message."""
    if not addresses:
        return
    wrong_id = _with_addresses(query, addresses)
    wrong_id.id = (query.id + 1) % 65_536
    yield wrong_id.to_wire()
    other = dns.message.make_query("other.test.", "A", id=query.id)
    yield _with_addresses(other, addresses).to_wire()
    yield b"\0" * 5


@asynccontextmanager
async def dns_server(addresses: Sequence[str]) -> AsyncIterator[DnsServer]:
    """A server that answers with these addresses, until a test changes them."""
    loop = asyncio.get_running_loop()
    server = DnsServer(addresses)
    for attempt in range(_RETRIES):  # both sockets need the same port
        stream = await asyncio.start_server(server.connected, "127.0.0.1", 0)
        server.port = stream.sockets[0].getsockname()[1]
        try:
            transport, _ = await loop.create_datagram_endpoint(
                lambda: server, local_addr=("127.0.0.1", server.port)
            )
            break
        except OSError:
            stream.close()
            if attempt == _RETRIES - 1:
                raise
    try:
        yield server
    finally:
        transport.close()
        stream.close()
