"""The reload of a real gateway, by SIGHUP, by the admin listener and by `gateway reload`."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.process.test_admin import JSON, ask, ask_json
from tests.integration.process.test_drain import Served, served
from tests.support.command_line import run
from tests.support.polling import first

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="needs /proc"),
]
both = pytest.mark.parametrize("workers", [1, pytest.param(2, id="2 workers")])
ALL = "services: [echo.v1.*]\n"


class Reloadable:
    """The places of a gateway whose settings change."""

    def __init__(self, place: Path) -> None:
        self.settings = place / "settings.yaml"
        self.admin = place / "admin.sock"
        self.events = place / "events.log"
        self.environment = {
            "ADMIN__LISTEN": f"unix:{self.admin}",
            "LOG__EVENTS": str(self.events),
        }
        self.write("")

    def write(self, text: str) -> None:
        self.settings.write_text(text or "{}")

    @property
    def flags(self) -> tuple[str, ...]:
        return "--config", str(self.settings)

    async def all_serve(self, workers: int) -> None:
        await first(
            lambda: ask_json(self.admin, "/status"),
            lambda found: found["workers"]["serving"] == workers,
            within_s=40,
        )

    async def reload(self, body: str = "") -> tuple[int, Any]:
        status, text = await ask(self.admin, "/reload", "POST", JSON, body=body)
        return status, json.loads(text)


async def status_of(gateway: Served, path: str) -> int:
    return (await ask(gateway.port, path, "GET", "Connection: close"))[0]


EXCLUDED = 'routing: {exclude: ["echo.v1.EchoService.Echo"]}\n'


@both
async def test_a_reload_changes_the_routes_and_says_which(tmp_path: Path, workers: int) -> None:
    place = Reloadable(tmp_path)
    async with served(tmp_path, workers, *place.flags, settings=place.environment) as gateway:
        await place.all_serve(workers)
        place.write(EXCLUDED)
        status, tried = await place.reload('{"dry_run": true}')
        assert (status, tried["dry_run"]) == (200, True)
        assert "- GET /v1/echo/{text}: echo.v1.EchoService.Echo" in tried["changes"]
        assert await status_of(gateway, "/v1/echo/a") == 200

        status, done = await place.reload()
        assert (status, done["generation"], done["changes"]) == (200, 2, tried["changes"])
        assert [await status_of(gateway, "/v1/echo/a") for _ in range(8)] == [404] * 8
        routes = (await ask_json(place.admin, "/routes"))["routes"]
        assert "/v1/echo/{text}" not in [route["path"] for route in routes]
        assert (await ask_json(place.admin, "/config"))["routing"]["exclude"]

        place.write("")
        shown = await asyncio.to_thread(run, "reload", "--admin", f"unix:{place.admin}")
        assert shown.returncode == 0, shown.stderr
        assert "+ GET /v1/echo/{text}: echo.v1.EchoService.Echo\n" in shown.stdout
        assert "reloaded, generation 3: 8 routes" in shown.stdout
        assert [await status_of(gateway, "/v1/echo/a") for _ in range(8)] == [200] * 8
