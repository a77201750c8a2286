"""A small DNS server over UDP on loopback, and a resolver that asks it (RFC 1035)."""

import asyncio
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from typing import cast

from gateway import Endpoint

_HEADER = struct.Struct(">6H")
_RESPONSE, _RECURSION = 0x8400, 0x0100
_A, _IN = 1, 1
_TTL_S = 1
_POINTER_TO_QUESTION = 0xC00C
"""A name that is written at byte 12 (RFC 1035 section 4.1.4)."""


class DnsServer(asyncio.DatagramProtocol):
    """Answers every question with its addresses."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self.addresses = addresses
        self.asked = 0
        self.port = 0
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the socket."""
        self._transport = cast("asyncio.DatagramTransport", transport)
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answers a question."""
        assert self._transport is not None
        self.asked += 1
        (number, *_), question = _HEADER.unpack_from(data), data[_HEADER.size :]
        answers = b"".join(
            struct.pack(">HHHIH", _POINTER_TO_QUESTION, _A, _IN, _TTL_S, 4)
            + IPv4Address(one).packed
            for one in self.addresses
        )
        head = _HEADER.pack(number, _RESPONSE, 1, len(self.addresses), 0, 0)
        self._transport.sendto(head + question + answers, addr)


class DnsResolver:
    """A `gateway.Resolver` that asks a server for the addresses of a name."""

    def __init__(self, server_port: int, name: str, port: int) -> None:
        self._server_port = server_port
        self._port = port
        labels = [label.encode() for label in name.split(".")]
        self._question = b"".join(bytes([len(one)]) + one for one in labels) + b"\0"
        self._question += struct.pack(">HH", _A, _IN)

    async def resolve(self) -> Sequence[Endpoint]:
        """One endpoint for each address."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bytes] = loop.create_future()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Answer(answer), remote_addr=("127.0.0.1", self._server_port)
        )
        try:
            transport.sendto(_HEADER.pack(1, _RECURSION, 1, 0, 0, 0) + self._question)
            async with asyncio.timeout(2):
                data = await answer
        finally:
            transport.close()
        found = _HEADER.unpack_from(data)[3]
        start = _HEADER.size + len(self._question)
        records = [data[start + 16 * n : start + 16 * (n + 1)] for n in range(found)]
        return [Endpoint((f"{IPv4Address(one[-4:])}:{self._port}",)) for one in records]


class _Answer(asyncio.DatagramProtocol):
    def __init__(self, answer: asyncio.Future[bytes]) -> None:
        self._answer = answer

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if not self._answer.done():
            self._answer.set_result(data)


@asynccontextmanager
async def dns_server(addresses: Sequence[str]) -> AsyncIterator[DnsServer]:
    """A server that answers with these addresses, until a test changes them."""
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(
        lambda: DnsServer(addresses), local_addr=("127.0.0.1", 0)
    )
    try:
        yield server
    finally:
        transport.close()
