"""Helps to test a gRPC service over REST: a gateway over in-process servicers, and its client.

It is installed as a pytest plugin with the fixture `gateway_client`. Heavy imports wait until the
fixture is used, because every pytest run of an environment with this distribution loads the plugin.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from aiohttp import ClientSession

    from gateway.call import Principal

AddServicer = Callable[[Any, Any], None]
"""A function that grpcio-tools generates, for example `add_LibraryServiceServicer_to_server`."""

Served = tuple[AddServicer, Any]
"""A generated `add_..._to_server` function and its servicer."""

GatewayClient = Callable[..., Awaitable["ClientSession"]]


_TOKEN_TTL_S = 3600.0


@asynccontextmanager
async def serve_servicers(
    *served: Served, caller: "Principal | None" = None, **settings: Any
) -> AsyncIterator["ClientSession"]:
    """Serves servicers through a gateway on free ports; yields an aiohttp client of it.

    `settings` are those of the configuration (`json={"pretty": True}`); descriptors come from the
    generated modules beside the `add_..._to_server` functions. With a `caller`, the client sends
    an access token of this principal: `Principal("users/ada", frozenset({"books.read"}))`. The
    gateway keeps it in `auth.store`, by default a file that is removed in the end.
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
    async with AsyncExitStack() as stack:
        stack.push_async_callback(server.stop, None)
        headers = {}
        if caller is not None:
            folder = stack.enter_context(TemporaryDirectory(prefix="gateway-"))
            store = {"store": f"sqlite:///{Path(folder, 'gateway.db')}"}
            settings["auth"] = store | settings.get("auth", {})
            headers["Authorization"] = f"Bearer {await _token(caller, settings['auth']['store'])}"
        config = Config.model_validate(defaults | settings)
        gateway = await stack.enter_async_context(open_gateway(config))
        yield await stack.enter_async_context(ClientSession(gateway.url, headers=headers))


async def _token(caller: "Principal", store_url: str) -> str:
    """An access token of the caller, issued in the store that the gateway will read."""
    from gateway.auth.tokens.tokens import Grant, Tokens  # noqa: PLC0415
    from gateway.stores.opening import open_store  # noqa: PLC0415

    if store_url == "memory:":
        raise ValueError("a caller needs a store that is not memory:, or none for a file")
    grant = Grant(caller.name, caller.client or "tests", caller.scopes, _TOKEN_TTL_S, caller.claims)
    async with open_store(store_url) as store:
        return (await Tokens(store).issue(grant)).access_token


async def _gateway_client() -> AsyncIterator[GatewayClient]:
    """Starts gateways for servicers: `client = await gateway_client((add, servicer))`.

    The result is an aiohttp client: `await client.get("/v1/shelves")`. Arguments are those of
    `serve_servicers`.
    """
    async with AsyncExitStack() as stack:

        async def start(
            *served: Served, caller: "Principal | None" = None, **settings: Any
        ) -> "ClientSession":
            served_by = serve_servicers(*served, caller=caller, **settings)
            return await stack.enter_async_context(served_by)

        yield start


def _without_event_loop() -> NoReturn:
    """Fails the test that asked for `gateway_client`: there is no event loop to run it on."""
    import pytest  # noqa: PLC0415 - not installed where only `serve_servicers` is used

    pytest.fail(
        "the fixture gateway_client needs pytest-asyncio: pip install pytest-asyncio, and set "
        'asyncio_mode = "auto" in the configuration of pytest',
        pytrace=False,
    )


gateway_client: Any
try:
    import pytest_asyncio
except ImportError:
    try:
        import pytest
    except ImportError:  # `serve_servicers` works without either
        pass
    else:
        gateway_client = pytest.fixture(_without_event_loop, name="gateway_client")
else:
    gateway_client = pytest_asyncio.fixture(_gateway_client, name="gateway_client")
