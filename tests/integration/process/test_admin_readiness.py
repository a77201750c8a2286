"""The readiness of a gateway that needs a store and an upstream, as probes see it."""

import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gateway.auth.secrets import ACCESS, new_secret
from gateway.config.loader import ConfigError, load_config
from services import echo
from services.serving import serve
from tests.integration.process.test_admin import ask, ask_json
from tests.integration.process.test_drain import Served, served
from tests.support.http import RawClient
from tests.support.polling import first
from tests.support.redis_server import free_port, redis_process

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="needs /proc"),
]
SETTINGS = """
upstreams: {{echo: {{target: "{alive}", services: [echo.v1.*]}}}}
auth: {{store: "redis://127.0.0.1:{port}/0", anonymous: true}}
admin: {{listen: "unix:{admin}", ready_requires: [store, upstreams.echo]}}
"""


async def called(gateway: Served, *lines: str) -> int:
    """The status of a call on a new connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    try:
        return (await RawClient(reader, writer).get("/v1/echo/a", *lines)).status
    finally:
        writer.close()


@pytest.mark.parametrize("workers", [1, pytest.param(2, id="2 workers")])
async def test_what_a_gateway_needs_makes_it_not_ready(tmp_path: Path, workers: int) -> None:
    admin, file, port = tmp_path / "admin.sock", tmp_path / "settings.yaml", free_port()

    async def probe(*lines: str) -> tuple[int, str]:
        await called(gateway, *lines)
        return await ask(admin, "/readyz")

    async with AsyncExitStack() as stack:
        redis = stack.enter_context(redis_process(port, ["--save", ""]))
        back_end = await stack.enter_async_context(AsyncExitStack())
        alive = await back_end.enter_async_context(serve(echo.register))
        file.write_text(SETTINGS.format(alive=alive, port=port, admin=admin))
        gateway = await stack.enter_async_context(served(tmp_path, workers, "--config", str(file)))
        assert await called(gateway) == 200
        assert await probe() == (200, "ok\n")
        verbose = "ok: serving\nok: store\nok: upstreams.echo\n"
        assert await ask(admin, "/readyz?verbose") == (200, verbose)

        await back_end.aclose()
        reason = "upstreams.echo: no endpoint takes calls: failing"
        await first(probe, lambda found: found == (503, f"{reason}\n"), within_s=40)
        assert (await ask_json(admin, "/status"))["reason"] == reason
        _, text = await ask(admin, "/readyz?verbose")
        assert text == f"ok: serving\nok: store\nfail: {reason}\n"

        redis.kill()
        await first(
            lambda: probe(f"Authorization: Bearer {new_secret(ACCESS)}"),
            lambda found: found == (503, "store: unavailable for credentials\n"),
            within_s=40,
        )
        assert (await ask(admin, "/livez"))[0] == 200


@pytest.mark.parametrize("name", ["stores", "upstreams.", "upstreams.none"])
def test_what_is_not_there_cannot_be_needed(name: str) -> None:
    with pytest.raises(ConfigError, match=r"admin\.ready_requires"):
        load_config(None, {}, {"admin": {"ready_requires": [name]}})
