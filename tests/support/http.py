"""A gateway over the echo service, and raw sockets to talk to it as no HTTP client would."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from gateway.app.gateway import Gateway, open_gateway
from gateway.call import Interceptor
from gateway.config.model import Config
from services import echo
from services.serving import serve


@asynccontextmanager
async def echo_gateway(*own: Interceptor, **settings: Any) -> AsyncIterator[Gateway]:
    """A gateway on a free port in front of a real echo server, with interceptors of its own."""
    async with serve(echo.register) as address:
        defaults: dict[str, Any] = {
            "listen": "127.0.0.1:0",
            "modules": ["gen.echo.v1"],
            "upstreams": {"echo": {"target": address}},
            "log": {"access": "off"},
        }
        config = Config.model_validate(defaults | settings)
        async with open_gateway(config, interceptors=own) as gateway:
            yield gateway


@dataclass
class Answer:
    """A response as it came over the socket."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """The first value of a header, or None."""
        return next((v for n, v in self.headers if n.lower() == name.lower()), None)

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class RawClient:
    """One connection, written to byte for byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes | str) -> None:
        """Sends bytes as they are."""
        self.writer.write(data.encode("latin-1") if isinstance(data, str) else data)
        await self.writer.drain()

    async def get(self, target: str, *headers: str) -> Answer:
        """Sends a GET and reads its answer."""
        lines = "".join(f"{header}\r\n" for header in headers)
        await self.send(f"GET {target} HTTP/1.1\r\nHost: test\r\n{lines}\r\n")
        return await self.answer()

    async def answer(self, *, head_only: bool = False) -> Answer:
        """Reads one response."""
        async with asyncio.timeout(10):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.rstrip("\r\n").split("\r\n")
            headers = [(n, v.strip()) for n, _, v in (line.partition(":") for line in lines)]
            answer = Answer(int(first.split(" ")[1]), headers, b"")
            length = answer.header("Content-Length")
            if head_only:
                return answer
            if answer.header("Transfer-Encoding") == "chunked":
                answer.body = await self._chunks(answer)
            elif length is not None:
                answer.body = await self.reader.readexactly(int(length))
            return answer

    async def closed(self) -> bool:
        """Whether the gateway closes the connection, within a few seconds."""
        try:
            async with asyncio.timeout(5):
                return await self.reader.read() == b""
        except (TimeoutError, ConnectionError) as error:
            return isinstance(error, ConnectionError)

    async def _chunks(self, answer: Answer) -> bytes:
        body = b""
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            body += await self.reader.readexactly(size)
            await self.reader.readexactly(2)
        while line := (await self.reader.readuntil(b"\r\n")).decode("latin-1").strip():
            name, _, value = line.partition(":")
            answer.headers.append((f"trailer {name}", value.strip()))
        return body


@asynccontextmanager
async def connected(gateway: Gateway) -> AsyncIterator[RawClient]:
    """A raw connection to a gateway."""
    host, _, port = gateway.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield RawClient(reader, writer)
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
