"""`/debug/*` of the admin listener: what the serving processes do, and what they hold."""

import asyncio
import re
import sys
from pathlib import Path

import pytest

from tests.integration.process.test_admin import JSON, ask, ask_json
from tests.integration.process.test_drain import Served, served
from tests.support.polling import first

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="needs /proc"),
]
POSTED = ("/debug/profile", "/debug/memory")


async def keep_busy(gateway: Served, is_over: asyncio.Event) -> None:
    while not is_over.is_set():
        await ask(gateway.port, "/v1/echo/a", "GET", "Connection: close")


@pytest.mark.parametrize("workers", [1, pytest.param(2, id="2 workers")])
async def test_each_worker_says_what_it_does(tmp_path: Path, workers: int) -> None:
    admin = tmp_path / "admin.sock"
    settings = {"ADMIN__LISTEN": f"unix:{admin}", "ADMIN__DEBUG": "true"}
    async with served(tmp_path, workers, settings=settings) as gateway:
        await first(
            lambda: ask_json(admin, "/status"),
            lambda found: found["workers"]["serving"] == workers,
            within_s=40,
        )
        numbers = [str(number) for number in range(1, workers + 1)]
        for path, expected in (
            ("/debug/stacks", "thread MainThread"),
            ("/debug/stacks", "a thread that computes yields after 0.5 ms"),
            ("/debug/gc", "frozen"),
        ):
            status, text = await ask(admin, path)
            assert status == 200
            assert re.findall(r"=== worker (\d)", text) == numbers
            assert text.count(expected) == workers
        is_over = asyncio.Event()
        load = asyncio.create_task(keep_busy(gateway, is_over))
        try:
            status, text = await ask(admin, "/debug/profile?seconds=1", "POST", JSON)
            assert status == 200
            lines = text.splitlines()
            assert {line.split(";")[0] for line in lines} == {f"worker {one}" for one in numbers}
            assert all(re.fullmatch(r".+\([^()]+\) \d+", line) for line in lines)
            assert "(event_loop.py)" in text
            status, text = await ask(admin, "/debug/memory?seconds=1", "POST", JSON)
            assert (status, text.count("of what was allocated meanwhile")) == (200, workers)
            assert re.search(r"\.py:\d+: size=", text)
            asked = [ask(admin, "/debug/profile?seconds=1", "POST", JSON) for _ in range(2)]
            assert sorted([status for status, _ in await asyncio.gather(*asked)]) == [200, 429]
        finally:
            is_over.set()
            await load
        for query in ("?seconds=0", "?seconds=61", "?seconds=1&seconds=2", "?second=1", "?seconds"):
            for path in POSTED:
                assert (await ask(admin, path + query, "POST", JSON))[0] == 400
        assert (await ask(admin, "/debug/profile", "POST"))[0] == 415
        assert (await ask(admin, "/debug/profile"))[0] == 405
        assert (await ask(gateway.port, "/debug/stacks", "GET", "Connection: close"))[0] == 404
