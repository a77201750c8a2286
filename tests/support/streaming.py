"""A gateway before a `StreamBackend`, and a client that says what it saw of a stream."""

import asyncio
import gc
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from gateway.app.gateway import Gateway, open_gateway
from gateway.call import Call, Handler, Interceptor, Reply
from gateway.config.model import Config
from gateway.status import Code
from gateway.transcoding.wire import varint
from tests.support.http import RawClient
from tests.support.polling import until
from tests.support.stream_backend import (
    StreamBackend,
    message,
    parsed,
    stream_backend,
    write_descriptors,
)

NDJSON = "application/x-ndjson"
ARRAY = "application/json"
EVENTS = "text/event-stream"
PROTOBUF = "application/x-protobuf"
CHANNELS = ("http2", "grpcio")


class Endings:
    """Notes how each call ended; an interceptor."""

    def __init__(self) -> None:
        self.codes: list[Code] = []

    async def __call__(self, call: Call, proceed: Handler) -> Reply:
        """Passes a call on."""
        call.on_end(self.codes.append)
        return await proceed(call)


@dataclass
class Stage:
    """What a test of streams plays on."""

    gateway: Gateway
    backend: StreamBackend
    endings: Endings
    log: Path

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[RawClient]:
        """A connection of one's own."""
        host, _, port = self.gateway.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            yield RawClient(reader, writer)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


@asynccontextmanager
async def open_stage(
    *guards: Interceptor, channel: str = "http2", **settings: Any
) -> AsyncIterator[Stage]:
    """A gateway whose calls pass `guards`, before a back end of its own."""
    endings = Endings()
    with TemporaryDirectory() as folder:
        log = Path(folder, "access.log")
        async with stream_backend() as backend:
            described = write_descriptors(Path(folder))
            config = Config.model_validate(
                {
                    "listen": "127.0.0.1:0",
                    "descriptors": [str(described)],
                    "upstreams": {"streams": {"target": backend.target, "channel": channel}},
                    "log": {"access": str(log)},
                }
                | settings
            )
            async with open_gateway(config, interceptors=[endings, *guards]) as gateway:
                yield Stage(gateway, backend, endings, log)


@dataclass
class Seen:
    """What a client saw of an answer."""

    status: int
    content_type: str = ""
    messages: list[Any] = field(default_factory=list)
    ending: str = ""
    """`end`, the name of the failure, or `cut`."""


@dataclass
class Talk:
    """One request that streams, spoken piece by piece."""

    client: RawClient
    media_type: str
    accept: str
    said: int = 0

    async def begin(self, method: str, target: str, *headers: str) -> None:
        """Sends the head; what is said follows in chunks."""
        lines = [
            f"{method} {target} HTTP/1.1",
            "Host: test",
            f"Accept: {self.accept}",
            f"Content-Type: {self.media_type}",
            *headers,
        ]
        if method != "GET":
            lines.append("Transfer-Encoding: chunked")
        await self.client.send("\r\n".join(lines) + "\r\n\r\n")

    async def say(self, *texts: str) -> None:
        """Sends messages, each as a chunk."""
        for text in texts:
            await self.chunk(self._framed(text))

    async def chunk(self, data: bytes) -> None:
        """Sends a chunk."""
        await self.client.send(b"%x\r\n%b\r\n" % (len(data), data))

    async def finish(self) -> None:
        """Ends the request."""
        if self.media_type == ARRAY:
            await self.chunk(b"]" if self.said else b"[]")
        await self.client.send(b"0\r\n\r\n")

    async def hear(self) -> Seen:
        """The whole answer."""
        status, headers = await self.head()
        seen = Seen(status, headers.get("content-type", ""))
        body, whole = await self._body(headers)
        if status >= 400:
            seen.ending = failure_name(seen.content_type, body)
            return seen
        if seen.content_type == ARRAY and not body.startswith(b"["):
            seen.messages, seen.ending = [json.loads(body)], "end"
            return seen
        if seen.content_type == PROTOBUF:
            seen.messages, seen.ending = [{"number": parsed("Say", body).number}], "end"
            return seen
        seen.messages, seen.ending = READERS[self.accept](body)
        if not whole:
            seen.ending = "cut"
        return seen

    async def head(self) -> tuple[int, dict[str, str]]:
        """Status and headers of the answer."""
        async with asyncio.timeout(10):
            head = (await self.client.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.rstrip("\r\n").split("\r\n")
        pairs = (line.partition(": ") for line in lines)
        return int(first.split(" ")[1]), {name.lower(): value for name, _, value in pairs}

    async def next_chunk(self) -> bytes:
        """The next chunk of the answer."""
        async with asyncio.timeout(10):
            size = int(await self.client.reader.readuntil(b"\r\n"), 16)
            data = await self.client.reader.readexactly(size + 2)
            return data[:-2]

    async def _body(self, headers: dict[str, str]) -> tuple[bytes, bool]:
        if "content-length" in headers:
            return await self.client.reader.readexactly(int(headers["content-length"])), True
        body = b""
        try:
            while piece := await self.next_chunk():
                body += piece
        except (asyncio.IncompleteReadError, ConnectionError):
            return body, False
        return body, True

    def _framed(self, text: str) -> bytes:
        self.said += 1
        if self.media_type == PROTOBUF:
            wire: bytes = message("Say", text=text).SerializeToString()
            return varint(len(wire)) + wire
        said = json.dumps({"text": text}).encode()
        if self.media_type == ARRAY:
            return (b"[" if self.said == 1 else b",") + said
        return said + b"\n"


def _lines(body: bytes) -> tuple[list[Any], str]:
    return _until_error([json.loads(line) for line in body.splitlines()])


def _array(body: bytes) -> tuple[list[Any], str]:
    return _until_error(json.loads(body)) if body.endswith(b"]") else ([], "cut")


def _events(body: bytes) -> tuple[list[Any], str]:
    messages: list[Any] = []
    for event in body.split(b"\n\n"):
        fields = dict(line.split(b": ", 1) for line in event.splitlines() if b": " in line)
        if fields.get(b"event") == b"end":
            return messages, "end"
        if fields.get(b"event") == b"error":
            return messages, str(json.loads(fields[b"data"])["error"]["status"])
        if b"data" in fields:
            messages.append(json.loads(fields[b"data"]))
    return messages, "cut"


def _delimited(body: bytes) -> tuple[list[Any], str]:
    messages, at = [], 0
    while at < len(body):
        size, shift = 0, 0
        while True:
            byte, at = body[at], at + 1
            size, shift = size | (byte & 127) << shift, shift + 7
            if byte < 128:
                break
        said = parsed("Say", body[at : at + size])
        messages.append({"number": said.number, "text": said.text})
        at += size
    return messages, "end"


def _until_error(records: list[Any]) -> tuple[list[Any], str]:
    if records and "error" in records[-1]:
        return records[:-1], records[-1]["error"]["status"]
    return records, "end"


READERS: dict[str, Callable[[bytes], tuple[list[Any], str]]] = {
    NDJSON: _lines,
    ARRAY: _array,
    EVENTS: _events,
    PROTOBUF: _delimited,
}


def failure_name(content_type: str, body: bytes) -> str:
    """Which failure a body tells of."""
    if content_type == PROTOBUF:
        from google.rpc.status_pb2 import Status

        return Code(Status.FromString(body).code).name
    return str(json.loads(body)["error"]["status"])


def gateway_tasks() -> list[str]:
    """What of the gateway is running for its clients."""
    return [
        repr(task)
        for task in asyncio.all_tasks()
        if "/gateway/" in repr(task) and not _is_housekeeping(repr(task))
    ]


def _is_housekeeping(task: str) -> bool:
    lasting = ("Listener.sweep", "_flush_regularly", "_dial", "Connections", "_sweep_stores")
    return any(name in task for name in lasting)


def open_files(*, at_most: float = inf) -> int:
    """How many files and sockets this process holds.

    Where there are more than `at_most`, garbage is looked for first: in a large process that takes
    so long that nobody should do it needlessly.
    """
    files = _count_files()
    if files <= at_most:
        return files
    gc.collect()
    return _count_files()


def _count_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def settled(stage: Stage, files: int) -> None:
    """Returns once nothing is left of what clients asked for; fails if something stays."""

    def left() -> str:
        tasks = gateway_tasks()
        if stage.backend.running or tasks:
            return f"left running: {stage.backend.running} calls, {tasks}"
        more = open_files(at_most=files) - files
        return f"left open: {more} files" if more > 0 else ""

    with suppress(TimeoutError):
        await until(lambda: not left(), within_s=10)
    assert not left(), left()
