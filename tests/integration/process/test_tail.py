"""`gateway tail` beside a real gateway: all workers, filters, slow readers, and refusals."""

import asyncio
import json
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.process.test_admin import JSON, ask, ask_json
from tests.integration.process.test_drain import Served, served
from tests.support.polling import first

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="needs SO_REUSEPORT"),
]
FOLLOWER = "0123456789abcdef"


@asynccontextmanager
async def tail(
    admin: Path, *flags: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, asyncio.StreamReader]]:
    """`gateway tail`; it is killed at the end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "tail", "--admin", f"unix:{admin}", *flags),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**os.environ},
    )  # fmt: skip
    assert process.stdout is not None
    try:
        yield process, process.stdout
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def send(gateway: Served, path: str = "/v1/echo/a") -> None:
    await ask(gateway.port, path, "GET", "Connection: close")


async def follow(admin: Path, **more: object) -> tuple[int, Any]:
    body = json.dumps({"follower": FOLLOWER} | more)
    status, text = await ask(admin, "/requests", "POST", JSON, body=body)
    return status, json.loads(text)


async def test_requests_of_all_workers_are_followed(tmp_path: Path) -> None:
    admin = tmp_path / "admin.sock"
    async with served(tmp_path, 2, settings={"ADMIN__LISTEN": f"unix:{admin}"}) as gateway:
        await first(
            lambda: ask_json(admin, "/status"),
            lambda found: found["workers"]["serving"] == 2,
            within_s=40,
        )
        async with tail(admin, "--json") as (process, lines):
            workers: set[int] = set()
            sent = asyncio.create_task(lines.readline())
            async with asyncio.timeout(40):
                while workers != {1, 2}:
                    await send(gateway)
                    if sent.done():
                        row = json.loads(await sent)
                        assert row["path"] == "/v1/echo/a"
                        assert (row["route"], row["status"]) == ("/v1/echo/{text}", 200)
                        workers.add(row["worker"])
                        sent = asyncio.create_task(lines.readline())
            sent.cancel()
            process.send_signal(signal.SIGINT)
            async with asyncio.timeout(20):
                assert await process.wait() == 0


async def test_filters_choose_and_the_count_ends_it(tmp_path: Path) -> None:
    admin = tmp_path / "admin.sock"
    async with served(tmp_path, settings={"ADMIN__LISTEN": f"unix:{admin}"}) as gateway:
        async with tail(admin, "--status", "4xx", "--count", "2") as (process, lines):
            async with asyncio.timeout(40):
                while process.returncode is None:
                    await send(gateway)
                    await send(gateway, "/nothing")
                    await asyncio.sleep(0)
                text = (await lines.read()).decode().splitlines()
        assert process.returncode == 0

    assert len(text) == 2
    form = r"\d\d:\d\d:\d\d\.\d{3}  404  +\d+\.\d ms  NOT_FOUND +GET /nothing  \S+  worker 1"
    assert all(re.fullmatch(form, line) for line in text), text


async def test_each_question_has_what_ended_since_the_last_one(tmp_path: Path) -> None:
    admin = tmp_path / "admin.sock"
    async with served(tmp_path, settings={"ADMIN__LISTEN": f"unix:{admin}"}) as gateway:
        await send(gateway)
        assert await follow(admin) == (
            200,
            {"workers_responding": 1, "dropped": 0, "requests": []},
        )
        await send(gateway)
        await send(gateway, "/nothing")
        _, found = await follow(admin)
        assert [row["status"] for row in found["requests"]] == [200, 404]
        assert (await follow(admin, slow_s=100))[1]["requests"] == []
        await send(gateway)
        assert (await follow(admin, route="/v1/echo"))[1]["requests"] == []
        await send(gateway)
        await send(gateway, "/nothing")
        _, found = await follow(admin, only_failures=True)
        assert [row["route"] for row in found["requests"]] == ["/v1/echo/{text}"]
        await send(gateway)
        await send(gateway, "/nothing")
        assert (await follow(admin))[1]["requests"] == []


async def test_a_slow_reader_learns_how_many_were_dropped(tmp_path: Path) -> None:
    admin = tmp_path / "admin.sock"
    async with served(tmp_path, settings={"ADMIN__LISTEN": f"unix:{admin}"}) as gateway:
        await follow(admin)
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        async with asyncio.timeout(4):  # less than the time after which a follower has left
            for _ in range(310):
                writer.write(b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n")
                await reader.readuntil(b"\r\n\r\n")
                await reader.readuntil(b"}}")
        writer.close()
        _, found = await follow(admin)

    assert len(found["requests"]) + found["dropped"] == 310
    seconds = Counter(row["time"][:19] for row in found["requests"])
    # At most 100 in a second of the gateway's clock, which has parts of two of these.
    assert 0 < max(seconds.values()) <= 200
    assert len(found["requests"]) <= 300


WRONG: list[tuple[dict[str, object], str]] = [
    ({"follower": "short"}, "expected 16 to 64 random digits"),
    ({"status": "6xx"}, "expected a status such as 404"),
    ({"status": 404}, "expected a status such as 404"),
    ({"route": []}, "expected the beginning of a path template"),
    ({"slow_s": -1}, "expected seconds"),
    ({"slow_s": True}, "expected seconds"),
    ({"only_failures": 1}, "expected true or false"),
    ({"paths": "/"}, "expected only follower, "),
]


async def test_wrong_questions_are_explained_and_too_many_followers_refused(
    tmp_path: Path,
) -> None:
    admin = tmp_path / "admin.sock"
    async with served(tmp_path, settings={"ADMIN__LISTEN": f"unix:{admin}"}):
        for question, told in WRONG:
            status, found = await follow(admin, **question)
            assert status == 400
            assert told in found["error"]["message"]
        for number in range(8):
            assert (await follow(admin, follower=f"{number:016x}"))[0] == 200
        status, found = await follow(admin, follower="f" * 16)

    assert (status, found["error"]["status"]) == (429, "RESOURCE_EXHAUSTED")
