"""A front end on a free port before a scripted upstream, and a client that speaks raw HTTP/1.1."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from gateway.config.model import Config
from gateway.exchange.exchange import Exchange
from gateway.exchange.site import Site
from gateway.listeners.listener import Listener, open_listener
from gateway.schema.catalog import Schema, build_schema
from gateway.telemetry.logs.opening import open_logs
from gateway.transcoding.transcoder import build_transcoder
from tests.support.schema import descriptor_set
from tests.support.upstream import Upstream

PROTO = """
syntax = "proto3";
package front.v1;
import "google/api/annotations.proto";
import "google/api/httpbody.proto";

message Item { string name = 1; string text = 2; }

service Front {
  rpc GetItem(Item) returns (Item) { option (google.api.http) = {get: "/v1/{name=items/*}"}; }
  rpc CreateItem(Item) returns (Item) {
    option (google.api.http) = {post: "/v1/items" body: "*"};
  }
  rpc DeleteItem(Item) returns (Item) { option (google.api.http) = {delete: "/v1/{name=items/*}"}; }
  rpc GetFile(Item) returns (google.api.HttpBody) {
    option (google.api.http) = {get: "/v1/{name=files/*}"};
  }
}
"""


@cache
def schema() -> Schema:
    """The schema of `PROTO`."""
    return build_schema(descriptor_set(front=PROTO))


@dataclass
class Answer:
    """One HTTP response."""

    status: int
    fields: list[tuple[str, str]]
    body: bytes = b""
    trailers: list[tuple[str, str]] = field(default_factory=list)

    @property
    def headers(self) -> dict[str, str]:
        """The header fields by lower-case name; of several with one name the last."""
        return {name.lower(): value for name, value in self.fields}

    @property
    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)

    @property
    def closes(self) -> bool:
        """Whether the server says that it will close."""
        return self.headers.get("connection") == "close"


class Client:
    """One connection; nothing is added to what it is told to send."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        """Sends `data` as it is."""
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, *, to: str = "GET", within_s: float = 5.0) -> Answer:
        """The next response; one to a HEAD has no body."""
        async with asyncio.timeout(within_s):
            return await self._answer(to)

    async def ask(self, data: bytes, *, within_s: float = 5.0) -> Answer:
        """Sends a request and reads its response."""
        await self.send(data)
        return await self.answer(to=data.split(b" ", 1)[0].decode("latin-1"), within_s=within_s)

    async def is_closed(self, *, within_s: float = 5.0) -> bool:
        """Whether the server closes, having sent nothing more."""
        try:
            async with asyncio.timeout(within_s):
                return await self.reader.read() == b""
        except ConnectionError:
            return True
        except TimeoutError:
            return False

    async def close(self) -> None:
        """Closes the connection."""
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except ConnectionError:
            return  # the server was first

    async def _answer(self, method: str) -> Answer:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status_line, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
        answer = Answer(int(status_line.split(" ")[1]), [_field(line) for line in lines])
        if method == "HEAD" or answer.status in (204, 304) or answer.status < 200:
            return answer
        if answer.headers.get("transfer-encoding") == "chunked":
            await self._read_chunks(answer)
        else:
            answer.body = await self.reader.readexactly(int(answer.headers["content-length"]))
        return answer

    async def _read_chunks(self, answer: Answer) -> None:
        while size := int(await self.reader.readline(), 16):
            answer.body += await self.reader.readexactly(size)
            assert await self.reader.readline() == b"\r\n"
        while (line := await self.reader.readline()) != b"\r\n":
            answer.trailers.append(_field(line.decode("latin-1").rstrip("\r\n")))


def _field(line: str) -> tuple[str, str]:
    name, value = line.split(": ", 1)
    return name, value


@dataclass
class FrontEnd:
    """A running front end."""

    listener: Listener
    upstream: Upstream
    log: Path | None = None

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Client]:
        """A client with a connection of its own."""
        address = self.listener.address
        if address.startswith("unix:"):
            reader, writer = await asyncio.open_unix_connection(address.removeprefix("unix:"))
        else:
            host, _, port = address.rpartition(":")
            reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
        client = Client(reader, writer)
        try:
            yield client
        finally:
            await client.close()

    async def ask(self, data: bytes) -> Answer:
        """The response to one request on a connection of its own."""
        async with self.connected() as client:
            return await client.ask(data)


@asynccontextmanager
async def open_front_end(
    upstream: Upstream | None = None,
    *,
    log: Path | None = None,
    serves: Schema | None = None,
    **settings: Any,
) -> AsyncIterator[FrontEnd]:
    """A front end with these settings; without `log` nothing is written down."""
    upstream = upstream or Upstream()
    served = serves or schema()
    access = {"access": "off" if log is None else log}
    config = Config.model_validate({"listen": "127.0.0.1:0", "log": access} | settings)
    transcoder = build_transcoder(config, served)
    handlers = dict.fromkeys(served.methods.values(), upstream)
    async with open_logs(config.log) as logs:
        exchange = Exchange(Site(config, transcoder, handlers, observers=logs.observers))
        async with open_listener(config.listen, exchange, tls=config.tls) as listener:
            yield FrontEnd(listener, upstream, log)


def get(path: str, *headers: str, method: str = "GET") -> bytes:
    """The bytes of a request without a body."""
    lines = [f"{method} {path} HTTP/1.1", "Host: gateway.test", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def post(path: str, body: bytes, *headers: str, method: str = "POST") -> bytes:
    """The bytes of a request with a body of known length."""
    return get(path, f"Content-Length: {len(body)}", *headers, method=method) + body


def chunked(path: str, *chunks: bytes, headers: tuple[str, ...] = ()) -> bytes:
    """The bytes of a POST with these chunks, and the last one."""
    framed = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return get(path, "Transfer-Encoding: chunked", *headers, method="POST") + framed + b"0\r\n\r\n"
