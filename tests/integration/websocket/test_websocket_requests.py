"""A method of one request and a stream of replies, over WebSocket, where its rule has a body."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from websockets.asyncio.client import ClientConnection, connect

from gateway.app.gateway import open_gateway
from gateway.config.model import Config
from tests.support.schema import descriptor_set
from tests.support.streaming import Seen
from tests.support.websocket import finish, hear

PROTO = """
syntax = "proto3";
package asked.v1;
import "google/api/annotations.proto";
message Ask { string topic = 1; string text = 2; }
service Asked {
  rpc Search(Ask) returns (stream Ask) {
    option (google.api.http) = {post: "/v1/{topic}:search" body: "*"};
  }
}
"""


async def _twice(request: bytes, _: Any) -> AsyncIterator[bytes]:
    yield request
    yield request


@asynccontextmanager
async def asking(folder: Path) -> AsyncIterator[ClientConnection]:
    """A WebSocket to the method."""
    described = folder / "asked.binpb"
    described.write_bytes(descriptor_set(asked=PROTO).SerializeToString())
    server = grpc.aio.server()
    handlers: dict[str, Any] = {"Search": grpc.unary_stream_rpc_method_handler(_twice)}
    service = grpc.method_handlers_generic_handler("asked.v1.Asked", handlers)
    server.add_generic_rpc_handlers((service,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    config = Config.model_validate(
        {
            "listen": "127.0.0.1:0",
            "descriptors": [str(described)],
            "upstreams": {"asked": {"target": f"127.0.0.1:{port}"}},
            "log": {"access": "off"},
        }
    )
    try:
        async with open_gateway(config) as gateway:
            url = f"ws://{gateway.address}/v1/cats:search"
            async with connect(url, proxy=None) as client:
                yield client
    finally:
        await server.stop(None)


async def test_the_first_message_is_the_request(tmp_path: Path) -> None:
    async with asking(tmp_path) as client:
        await client.send('{"text":"paws"}')
        assert await hear(client) == Seen(101, "", [{"topic": "cats", "text": "paws"}] * 2, "end")


async def test_without_a_message_the_url_is_the_request(tmp_path: Path) -> None:
    async with asking(tmp_path) as client:
        await finish(client)
        assert await hear(client) == Seen(101, "", [{"topic": "cats", "text": ""}] * 2, "end")


@pytest.mark.parametrize(
    ("frames", "close_code"),
    [
        pytest.param(["{"], 4003, id="no JSON"),
        pytest.param(['{"topic":"dogs"}'], 4003, id="against the path"),
        pytest.param(["[" * 20_000], 4003, id="nested without end"),
        pytest.param(['{"text":' + '{"a":' * 10_000], 4003, id="a value nested without end"),
    ],
)
async def test_a_request_that_is_not_right_ends_it(
    tmp_path: Path, frames: list[str], close_code: int
) -> None:
    async with asking(tmp_path) as client:
        for frame in frames:
            await client.send(frame)
        assert (await hear(client)).ending == "INVALID_ARGUMENT"
        assert client.close_code == close_code
