"""Several real servers of one upstream, and the channel to them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from google.protobuf.descriptor_pb2 import MethodOptions

from gateway.config.upstreams import Upstream
from gateway.schema.catalog import Method
from gateway.upstream.attempts import Balanced
from gateway.upstream.balancing import Balancing
from gateway.upstream.channels.channel import Channel
from gateway.upstream.pool import open_pool
from tests.support.grpc_backend import method
from tests.support.health import Health
from tests.support.upstream_server import Server, server


def safe(name: str) -> Method:
    """A method that may be repeated, as its options say."""
    plain = method(name)
    level = MethodOptions(idempotency_level=MethodOptions.NO_SIDE_EFFECTS)
    return Method(
        plain.service,
        plain.name,
        plain.input,
        plain.output,
        False,
        False,
        (),
        plain.source,
        (b"", level.SerializeToString()),
    )


@asynccontextmanager
async def servers(
    count: int, health: Callable[[], Health] | None = None
) -> AsyncIterator[list[Server]]:
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(server(None if health is None else health()))
            for _ in range(count)
        ]


@asynccontextmanager
async def channel_to(
    targets: Sequence[str], balancing: Balancing | None = None, **settings: Any
) -> AsyncIterator[Channel]:
    if balancing is None:
        settings["targets"] = [{"address": target} for target in targets]
    upstream = Upstream.model_validate(settings)
    async with open_pool({"library": upstream}, balancing or Balancing()) as pool:
        yield pool["library"]


@asynccontextmanager
async def channel_at(target: str, **settings: Any) -> AsyncIterator[Channel]:
    """A channel to a `target`, as its settings say."""
    upstream = Upstream.model_validate(settings | {"target": target})
    async with open_pool({"library": upstream}) as pool:
        yield pool["library"]


@asynccontextmanager
async def balanced(
    count: int, serves: Callable[[], Health] | None = None, **settings: Any
) -> AsyncIterator[tuple[list[Server], Channel]]:
    """So many servers, and the channel to them, which has connected to all."""
    async with servers(count, serves) as running:
        targets = [one.target for one in running]
        async with channel_to(targets, **settings) as channel:
            await spreads(channel, count)
            yield running, channel


async def names(channel: Channel, count: int) -> list[bytes]:
    """The names of the servers that answer so many calls, one after the other."""
    return [(await channel.call(method("Name"), b"", [], 5)).message for _ in range(count)]


async def spreads(channel: Channel, over: int) -> None:
    """Waits until calls go to so many servers: all have connected."""
    async with asyncio.timeout(10):
        while len(set(await names(channel, 4 * over))) < over:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def states(channel: Channel) -> dict[str, tuple[str, str]]:
    """The state of each address, and the reason why it takes no calls."""
    assert isinstance(channel, Balanced)
    return {one.address: (one.state, one.failure) for one in channel.report()}
