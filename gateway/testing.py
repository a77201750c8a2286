"""Test support for services: a gateway for in-process gRPC servicers, and its HTTP client.

It is installed as a pytest plugin, so the fixture `gateway_client` is available without an import.
Heavy imports are delayed until the first use, because every pytest run in the environment loads
the plugin.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiohttp import ClientSession

AddServicer = Callable[[Any, Any], None]
"""A function that grpcio-tools generates, for example `add_LibraryServiceServicer_to_server`."""

Served = tuple[AddServicer, Any]
"""A generated `add_..._to_server` function and its servicer."""

GatewayClient = Callable[..., Awaitable["ClientSession"]]


@asynccontextmanager
async def serve_servicers(*served: Served, **settings: Any) -> AsyncIterator["ClientSession"]:
    """Starts a gateway for these servicers on free ports; yields an aiohttp client for it.

    `settings` are settings of the gateway, for example `json={"pretty": True}`. Descriptors come
    from the generated modules next to the `add_..._to_server` functions.
    """
    import grpc.aio  # noqa: PLC0415 - see the module's docstring
    from aiohttp import ClientSession  # noqa: PLC0415

    from gateway.app.gateway import open_gateway  # noqa: PLC0415
    from gateway.config.model import Config  # noqa: PLC0415

    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    for add, servicer in served:
        add(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    defaults: dict[str, Any] = {
        "listen": "127.0.0.1:0",
        "modules": sorted({add.__module__.removesuffix("_grpc") for add, _ in served}),
        "upstreams": {"servicers": {"target": f"127.0.0.1:{port}"}},
        "log": {"access": "off", "audit": "off"},
    }
    try:
        config = Config.model_validate(defaults | settings)
        async with open_gateway(config) as gateway, ClientSession(gateway.url) as client:
            yield client
    finally:
        await server.stop(None)


async def _gateway_client() -> AsyncIterator[GatewayClient]:
    """Starts gateways for servicers: `client = await gateway_client((add, servicer))`.

    The result is an aiohttp client: `await client.get("/v1/shelves")`.
    """
    async with AsyncExitStack() as stack:

        async def start(*served: Served, **settings: Any) -> "ClientSession":
            return await stack.enter_async_context(serve_servicers(*served, **settings))

        yield start


try:
    import pytest_asyncio
except ImportError:  # without pytest-asyncio, an async fixture cannot run
    pass
else:
    gateway_client = pytest_asyncio.fixture(_gateway_client, name="gateway_client")
