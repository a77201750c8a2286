"""`gateway top` beside a real gateway, with pipes and on a terminal."""

import asyncio
import os
import pty
import re
import select
import sys
import time
from pathlib import Path

import pytest

from tests.integration.process.test_admin import ask, ask_json
from tests.integration.process.test_drain import Served, served
from tests.support.command_line import run
from tests.support.polling import first, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="needs pseudo-terminals"),
]


async def send(gateway: Served) -> None:
    await ask(gateway.port, "/v1/echo/a", "GET", "Connection: close")
    await ask(gateway.port, "/nothing%1b%5b31m", "GET", "Connection: close")


async def test_a_frame_has_rates_routes_upstreams_and_workers(tmp_path: Path) -> None:
    admin = tmp_path / "admin.sock"
    settings = {
        "ADMIN__LISTEN": f"unix:{admin}",
        "FILTERS": "[{name: nobody, deny_paths: [/nothing*]}]",
    }
    async with served(tmp_path, 2, settings=settings) as gateway:
        await first(
            lambda: ask_json(admin, "/status"),
            lambda found: found["workers"]["serving"] == 2,
            within_s=40,
        )
        top = asyncio.create_task(
            asyncio.to_thread(run, "top", "--once", "--every", "2", "--admin", f"unix:{admin}")
        )
        while not top.done():
            await send(gateway)
        done = await top

    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert re.match(r"gateway \S+  ready  http://127\.0\.0\.1:\d+  up \d+ s", lines[0])
    assert lines[1].startswith("2 of 2 workers serve")
    (total,) = [line for line in lines if line.startswith("all requests")]
    assert float(total.split()[2]) > 0
    (route,) = [line for line in lines if line.startswith("GET /v1/echo/{text}")]
    assert route.split("ms")[0].split()[2:6] != ["0.0", "-", "-", "-"]
    assert any(line.startswith("upstream1 (") for line in lines)
    assert len([line for line in lines if re.match(r" +\d  serving", line)]) == 2
    assert "generation 1" in lines[1]
    assert re.search(r"^LIMITS HIT\nfilter nobody  \d+ since start$", done.stdout, re.MULTILINE)
    assert "STORES\ncounters  up  0 operations, 0 failed" in done.stdout
    assert "\x1b" not in done.stdout


async def test_a_gateway_that_is_gone_is_an_error(tmp_path: Path) -> None:
    done = await asyncio.to_thread(run, "top", "--once", "--admin", f"unix:{tmp_path}/none")

    assert done.returncode == 1
    assert "is the gateway running?" in done.stderr


async def test_a_terminal_shows_frames_until_a_key_ends_it(tmp_path: Path) -> None:
    admin = tmp_path / "admin.sock"
    async with served(tmp_path, settings={"ADMIN__LISTEN": f"unix:{admin}"}):
        ours, theirs = pty.openpty()
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "gateway", "top", "--every", "1"),
                *("--admin", f"unix:{admin}"),
                stdin=theirs, stdout=theirs, stderr=theirs,
                env={**os.environ, "COLUMNS": "100", "LINES": "30"},
            )  # fmt: skip
            shown = b""

            def frames() -> int:
                nonlocal shown
                while select.select([ours], [], [], 0)[0]:
                    shown += os.read(ours, 65536)
                return shown.count(b"\x1b[H")

            await until(lambda: frames() >= 2, within_s=40)
            begun_s = time.monotonic()
            os.write(ours, b"q")
            await until(lambda: frames() and b"\x1b[?1049l" in shown, within_s=20)
            async with asyncio.timeout(20):
                assert await process.wait() == 0
            frames()
        finally:
            os.close(ours)
            os.close(theirs)

    assert time.monotonic() - begun_s < 20
    assert shown.startswith(b"\x1b[?1049h")
    assert shown.rstrip().endswith(b"\x1b[?25h\x1b[?1049l")
    text = shown.decode()
    assert "ready  http://" in text
    assert all(len(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", one)) <= 100 for one in text.split("\r\n"))
