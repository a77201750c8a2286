"""The admin listener and `gateway cache purge` drop stored replies in all workers."""

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.integration.process.test_admin import JSON, ask, ask_json
from tests.integration.process.test_drain import Served, served
from tests.support.command_line import run
from tests.support.polling import first, until

pytestmark = pytest.mark.slow
SETTINGS = """
service_config: [{rules}]
policies:
- selector: echo.v1.EchoService.Echo
  cache: {{ttl_s: 600, swr_s: 600, tags: [echoes]}}
- selector: echo.v1.EchoService.SendMetadata
  invalidates: [echoes]
"""
RULES = """
type: google.api.Service
config_version: 3
http:
  rules:
  - selector: echo.v1.EchoService.Echo
    get: /v1/echo/{text}
"""


async def order(admin: Path, body: Any) -> tuple[int, Any]:
    status, text = await ask(admin, "/cache/purge", "POST", JSON, body=json.dumps(body))
    return status, json.loads(text)


async def fetch(gateway: Served, count: int = 1) -> None:
    for _ in range(count):
        assert (await ask(gateway.port, "/v1/echo/a", "GET", "Connection: close"))[0] == 200


@pytest.fixture
def flags(tmp_path: Path) -> tuple[str, str]:
    (tmp_path / "rules.yaml").write_text(RULES)
    settings = tmp_path / "settings.yaml"
    settings.write_text(SETTINGS.format(rules=tmp_path / "rules.yaml"))
    return "--config", str(settings)


async def test_stored_replies_are_dropped(tmp_path: Path, flags: tuple[str, str]) -> None:
    admin, events = tmp_path / "admin.sock", tmp_path / "events.log"
    settings = {"ADMIN__LISTEN": f"unix:{admin}", "LOG__EVENTS": events}
    async with served(tmp_path, 1, *flags, settings=settings) as gateway:
        await fetch(gateway)
        assert await order(admin, {"path": "/v1/echo/b"}) == (200, {"replies": 0})
        assert await order(admin, {"path": "/v1/echo/a"}) == (200, {"replies": 1})
        await until(lambda: "gateway.cache.purged" in events.read_text())
        for body in (
            {},
            {"path": "v1"},
            {"path": "/v1?x=1"},
            {"tag": ""},
            {"tag": 1},
            {"all": False},
            {"all": True, "tag": "a"},
            {"every": True},
            {"all": True, "soft": 1},
        ):
            assert (await order(admin, body))[0] == 400
        await fetch(gateway)
        place = ("--admin", f"unix:{admin}")
        done = await asyncio.to_thread(run, "cache", "purge", "--all", *place)
        assert (done.returncode, done.stdout) == (0, "1 reply dropped\n")
        refused = await asyncio.to_thread(run, "cache", "purge", *place)
        assert refused.returncode == 1
        assert "exactly one of --method" in refused.stderr


async def test_all_workers_drop_their_replies_or_the_order_fails(
    tmp_path: Path, flags: tuple[str, str]
) -> None:
    admin = tmp_path / "admin.sock"
    settings = {"ADMIN__LISTEN": f"unix:{admin}", "SUPERVISOR__HANG_S": 60}
    async with served(tmp_path, 2, *flags, settings=settings) as gateway:
        found = await first(
            lambda: ask_json(admin, "/workers"),
            lambda found: all(one["state"] == "serving" for one in found["workers"]),
            within_s=40,
        )
        await fetch(gateway, 40)  # both workers get some
        status, done = await order(admin, {"method": "echo.v1.EchoService.Echo"})
        assert (status, done["replies"]) in ((200, 2), (200, 1))
        assert await order(admin, {"all": True}) == (200, {"replies": 0})
        os.kill(found["workers"][1]["pid"], signal.SIGSTOP)
        status, refused = await order(admin, {"all": True})
        assert status == 503
        assert "missing: 2" in refused["error"]["message"]
        os.kill(found["workers"][1]["pid"], signal.SIGCONT)
        await first(lambda: order(admin, {"all": True}), lambda found: found[0] == 200)


async def test_a_change_through_one_worker_drops_the_replies_of_all(
    tmp_path: Path, flags: tuple[str, str]
) -> None:
    admin = tmp_path / "admin.sock"
    settings = {"ADMIN__LISTEN": f"unix:{admin}", "SUPERVISOR__HANG_S": 60}
    async with served(tmp_path, 2, *flags, settings=settings) as gateway:
        found = await first(
            lambda: ask_json(admin, "/workers"),
            lambda found: all(one["state"] == "serving" for one in found["workers"]),
            within_s=40,
        )

        async def change() -> None:
            port = gateway.port
            lines = JSON, "Connection: close"
            status, _ = await ask(port, "/v1/echo:sendMetadata", "POST", *lines, body="{}")
            assert status == 200

        async def stored() -> tuple[int, int]:
            # Soft: what is stale may still be sent, so this counts and drops nothing.
            status, done = await order(admin, {"all": True, "soft": True})
            return status, done.get("replies", 0)

        await fetch(gateway, 40)
        assert await stored() == (200, 2)
        await change()
        await first(stored, lambda found: found == (200, 0), within_s=1.0)
        await fetch(gateway, 40)
        assert await stored() == (200, 2)
        # A worker that does not respond is told when it does again.
        stopped = found["workers"][1]["pid"]
        os.kill(stopped, signal.SIGSTOP)
        await first(
            lambda: ask_json(admin, "/workers"),
            lambda found: found["workers"][1]["state"] == "hung",
        )
        await change()
        assert (await stored())[0] == 503  # by now the supervisor has heard of the change
        os.kill(stopped, signal.SIGCONT)
        await first(stored, lambda found: found == (200, 0))
