"""A gRPC server whose methods stream every way and end as the request's topic tells them."""

import asyncio
import hashlib
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from gateway.schema.catalog import Schema, build_schema
from tests.support.schema import descriptor_set


@cache
def large_pieces() -> list[bytes]:
    """The file of the topic `large`, in pieces of many frames each."""
    made = random.Random(3)
    return [made.randbytes(70_001) for _ in range(40)]


PROTO = """
syntax = "proto3";
package streams.v1;
import "google/api/annotations.proto";
import "google/api/httpbody.proto";

message Say { string topic = 1; string text = 2; int32 number = 3; repeated string words = 4; }
message Upload {
  string topic = 1;
  google.api.HttpBody file = 2;
  string note = 3;
  int32 number = 4;
}

service Streams {
  rpc Once(Say) returns (Say) {
    option (google.api.http) = {
      get: "/v1/{topic}/once"
      additional_bindings { post: "/v1/{topic}/once" body: "*" }
      additional_bindings { post: "/v1/{topic}/text" body: "text" response_body: "text" }
    };
  }
  rpc Down(Say) returns (stream Say) { option (google.api.http) = {get: "/v1/{topic}/down"}; }
  rpc Up(stream Say) returns (Say) {
    option (google.api.http) = {
      post: "/v1/{topic}/up"
      body: "*"
      additional_bindings { post: "/v1/{topic}/texts" body: "text" }
      additional_bindings { post: "/v1/{topic}/bare" }
    };
  }
  rpc Both(stream Say) returns (stream Say) {
    option (google.api.http) = {
      post: "/v1/{topic}/both"
      body: "*"
      additional_bindings { get: "/v1/{topic}/both" }
    };
  }
  rpc Take(stream Upload) returns (Upload) {
    option (google.api.http) = {
      post: "/v1/{topic}/file"
      body: "file"
      additional_bindings { post: "/v1/{topic}/form" body: "*" }
    };
  }
  rpc TakeWhole(Upload) returns (Upload) {
    option (google.api.http) = {post: "/v1/{topic}/whole" body: "file"};
  }
  rpc Give(Say) returns (stream google.api.HttpBody) {
    option (google.api.http) = {get: "/v1/{topic}/give"};
  }
}
"""

Context = grpc.aio.ServicerContext[Any, Any]


@cache
def schema() -> Schema:
    """The schema of `PROTO`."""
    return build_schema(descriptor_set(streams=PROTO))


def message(name: str, **values: Any) -> Any:
    """A message of the package."""
    return GetMessageClass(schema().pool.FindMessageTypeByName(f"streams.v1.{name}"))(**values)


def parsed(name: str, wire: bytes) -> Any:
    """A message of the package from its wire bytes."""
    made = message(name)
    made.ParseFromString(wire)
    return made


def write_descriptors(folder: Path) -> Path:
    """A descriptor file of `PROTO`."""
    path = folder / "streams.binpb"
    path.write_bytes(descriptor_set(streams=PROTO).SerializeToString())
    return path


@dataclass
class StreamBackend:
    """The running server, and what it has seen."""

    target: str = ""
    running: int = 0
    """How many calls are under way."""
    received: list[Any] = field(default_factory=list)
    produced: int = 0
    metadata: list[dict[str, str | bytes]] = field(default_factory=list)
    kill: Callable[[], Awaitable[None]] = field(default=asyncio.Event().wait)  # type: ignore[assignment]

    async def down(self, request: Message, context: Context) -> AsyncIterator[Message]:
        """Messages, as the topic tells."""
        say: Any = request
        match say.topic:
            case "early":
                await context.abort(grpc.StatusCode.NOT_FOUND, "not here")
            case "flood":
                while True:
                    self.produced += 1
                    yield message("Say", text="x" * 50_000, number=self.produced)
            case "quiet":
                await asyncio.sleep(30)
        for number in (1, 2, 3):
            if number == 3 and say.topic == "late":
                await context.abort(grpc.StatusCode.DATA_LOSS, "lost")
            yield message("Say", number=number)
            if say.topic == "hang":
                await asyncio.sleep(30)

    async def up(self, requests: AsyncIterator[Message], context: Context) -> Any:
        """How many messages there were."""
        topic = ""
        async for request in requests:
            self.received.append(request)
            topic = topic or self.received[0].topic
            if topic == "early":
                await context.abort(grpc.StatusCode.NOT_FOUND, "not here")
            if topic == "late" and len(self.received) == 2:
                await context.abort(grpc.StatusCode.DATA_LOSS, "lost")
            if topic == "enough":
                break
            if topic in ("hang", "flood"):
                await asyncio.sleep(30)
        return message("Say", number=len(self.received))

    async def both(
        self, requests: AsyncIterator[Message], context: Context
    ) -> AsyncIterator[Message]:
        """Each message back."""
        async for request in requests:
            self.received.append(request)
            match self.received[0].topic:
                case "early":
                    await context.abort(grpc.StatusCode.NOT_FOUND, "not here")
                case "flood":
                    while True:
                        self.produced += 1
                        yield message("Say", text="x" * 50_000, number=self.produced)
            yield request
            if self.received[0].topic == "late" and len(self.received) == 2:
                await context.abort(grpc.StatusCode.DATA_LOSS, "lost")
            if self.received[0].topic == "enough":
                return
            if self.received[0].topic == "hang":
                await asyncio.sleep(30)

    async def take(self, requests: AsyncIterator[Message], context: Context) -> Any:
        """The digest of a file, how large it was, and the first message's fields."""
        size, digest = 0, hashlib.sha256()
        async for request in requests:
            upload: Any = request
            size += len(upload.file.data)
            digest.update(upload.file.data)
            upload.file.data = str(len(upload.file.data)).encode()
            self.received.append(upload)
        first = self.received[0]
        return message(
            "Upload", topic=first.topic, note=first.note or f"{size} bytes", number=first.number,
            file={"data": digest.digest()},
        )  # fmt: skip

    async def take_whole(self, request: Message, context: Context) -> Message:
        """The message back."""
        return request

    async def give(self, request: Message, context: Context) -> AsyncIterator[Message]:
        """Ten bytes in two pieces, or part of them; or a large file, which may never end."""
        say: Any = request
        metadata = dict(context.invocation_metadata() or ())
        sent = [("accept-ranges", "bytes"), ("x-http-content-length", "10")]
        pieces = [b"01234", b"56789"]
        if str(metadata.get("range", "")) == "bytes=2-5":
            pieces = [b"23", b"45"]
            sent = [
                ("x-http-code", "206"),
                ("content-range", "bytes 2-5/10"),
                ("x-http-content-length", "4"),
            ]
        if say.topic == "unsized":
            sent = []
        if say.topic in ("large", "endless"):
            sent, pieces = [], large_pieces()
        await context.send_initial_metadata(tuple(sent))
        for number, piece in enumerate(pieces):
            if say.topic == "late" and number:
                await context.abort(grpc.StatusCode.DATA_LOSS, "lost")
            if say.topic == "short" and number:
                return
            yield message_of_body("text/plain" if not number else "", piece)
        if say.topic == "endless":
            await asyncio.sleep(30)
        if say.topic == "long":
            yield message_of_body("", b"!")

    async def once(self, request: Message, context: Context) -> Message:
        """The message back."""
        if getattr(request, "topic", "") == "early":
            await context.abort(grpc.StatusCode.NOT_FOUND, "not here")
        return request

    async def counted(self, answer: Any, request: Any, context: Context) -> Any:
        """An answer, counted while it is under way."""
        self._begin(context)
        try:
            return await answer(request, context)
        finally:
            self.running -= 1

    async def counted_stream(
        self, answer: Any, request: Any, context: Context
    ) -> AsyncGenerator[Any]:
        """The same for an answer of many messages."""
        self._begin(context)
        try:
            async for one in answer(request, context):
                yield one
        finally:
            self.running -= 1

    def _begin(self, context: Context) -> None:
        self.running += 1
        self.metadata.append(dict(context.invocation_metadata() or ()))


def message_of_body(content_type: str, data: bytes) -> Any:
    """A google.api.HttpBody."""
    kind = schema().pool.FindMessageTypeByName("google.api.HttpBody")
    return GetMessageClass(kind)(content_type=content_type, data=data)


@asynccontextmanager
async def stream_backend() -> AsyncIterator[StreamBackend]:
    """The server, on a free port."""
    backend = StreamBackend()
    answers: dict[str, Any] = {
        "Once": backend.once,
        "Down": backend.down,
        "Up": backend.up,
        "Both": backend.both,
        "Take": backend.take,
        "TakeWhole": backend.take_whole,
        "Give": backend.give,
    }
    handlers: dict[str, Any] = {}
    for method in schema().methods.values():
        streams = method.server_streaming
        counted = backend.counted_stream if streams else backend.counted
        maker = {
            (False, False): grpc.unary_unary_rpc_method_handler,
            (False, True): grpc.unary_stream_rpc_method_handler,
            (True, False): grpc.stream_unary_rpc_method_handler,
            (True, True): grpc.stream_stream_rpc_method_handler,
        }[method.client_streaming, streams]
        handlers[method.name] = maker(
            partial(counted, answers[method.name]),
            request_deserializer=GetMessageClass(method.input).FromString,
            response_serializer=lambda answer: answer.SerializeToString(),
        )
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("streams.v1.Streams", handlers),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    backend.target = f"127.0.0.1:{port}"
    backend.kill = partial(server.stop, None)
    try:
        yield backend
    finally:
        await server.stop(None)
