"""A real gRPC server that answers with whatever bytes a test gives it, and details that harm."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from gateway.app.gateway import Gateway, open_gateway
from gateway.config.model import Config
from gateway.transcoding.wire import length_delimited
from tests.support.schema import descriptor_set

PROTO = """
syntax = "proto3";
package hostile.v1;
import "google/api/annotations.proto";
import "google/api/httpbody.proto";
import "google/protobuf/any.proto";

message Ask { string text = 1; }
message Held { google.protobuf.Any any = 28; string text = 1; google.api.HttpBody file = 2; }

service Hostile {
  rpc Raw(Ask) returns (google.api.HttpBody) { option (google.api.http) = {get: "/v1/raw"}; }
  rpc Part(Ask) returns (Held) {
    option (google.api.http) = {get: "/v1/part" response_body: "file"};
  }
  rpc RawDown(Ask) returns (stream google.api.HttpBody) {
    option (google.api.http) = {get: "/v1/down"};
  }
  rpc Hold(Ask) returns (Held) {
    option (google.api.http) = {
      get: "/v1/held"
      additional_bindings { get: "/v1/any" response_body: "any" }
    };
  }
  rpc HoldDown(Ask) returns (stream Held) { option (google.api.http) = {get: "/v1/helds"}; }
  rpc Fine(Ask) returns (Ask) { option (google.api.http) = {get: "/v1/fine"}; }
}
"""
ANY = b"type.googleapis.com/google.protobuf.Any"
TEXT = b"type.googleapis.com/google.protobuf.StringValue"


def nested(levels: int, size: int = 1) -> bytes:
    """An Any in an Any in an Any ..., around a text of this size."""
    wire = length_delimited(1, TEXT) + length_delimited(2, length_delimited(1, b"x" * size))
    for _ in range(levels):
        wire = length_delimited(1, ANY) + length_delimited(2, wire)
    return wire


def details(levels: int) -> bytes:
    """The grpc-status-details-bin of an error with one nested detail."""
    return length_delimited(3, nested(levels))


@dataclass
class Hostile:
    """What the server does from now on, and the gateway before it."""

    gateway: Gateway
    reply: bytes = b""
    details: bytes | None = None
    """If set, calls fail with these."""
    after: int = 0
    """How many good messages a stream has before that."""


@asynccontextmanager
async def hostile_gateway(
    place: Path, channel: str = "http2", **settings: Any
) -> AsyncIterator[Hostile]:
    """A gateway before a server that harms; its access log is `access.log` in `place`."""
    stage: list[Hostile] = []

    async def end(context: Any) -> bytes:
        if stage[0].details is not None:
            trailer = ("grpc-status-details-bin", stage[0].details)
            context.set_trailing_metadata((trailer,))
            await context.abort(grpc.StatusCode.ABORTED, "as told")
        return stage[0].reply

    async def unary(request: bytes, context: Any) -> bytes:
        return await end(context)

    async def stream(request: bytes, context: Any) -> AsyncIterator[bytes]:
        for _ in range(stage[0].after):
            yield b""
        yield await end(context)

    async def fine(request: bytes, context: Any) -> bytes:
        return b""

    handlers: dict[str, Any] = {
        name: grpc.unary_unary_rpc_method_handler(fine if name == "Fine" else unary)
        for name in ("Raw", "Part", "Hold", "Fine")
    }
    handlers |= {
        name: grpc.unary_stream_rpc_method_handler(stream) for name in ("RawDown", "HoldDown")
    }
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0), ("grpc.max_metadata_size", 60000)])
    generic = grpc.method_handlers_generic_handler("hostile.v1.Hostile", handlers)
    server.add_generic_rpc_handlers((generic,))
    port = server.add_insecure_port("127.0.0.1:0")
    (place / "set.binpb").write_bytes(descriptor_set(hostile=PROTO).SerializeToString())
    config = {
        "listen": "127.0.0.1:0",
        "descriptors": [place / "set.binpb"],
        "upstreams": {"hostile": {"target": f"127.0.0.1:{port}", "channel": channel}},
        "log": {"access": place / "access.log"},
    }
    await server.start()
    try:
        async with open_gateway(Config.model_validate(config | settings)) as gateway:
            stage.append(Hostile(gateway))
            yield stage[0]
    finally:
        await server.stop(None)
