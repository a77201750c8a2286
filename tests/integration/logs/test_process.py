"""Logs of `gateway serve` as a process: signals, its end, a standard output that is gone."""

import asyncio
import json
import os
import re
import signal
import sys
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services import echo
from services.serving import serve
from tests.support.polling import until

Start = Callable[..., Awaitable["Serving"]]


@dataclass
class Serving:
    process: asyncio.subprocess.Process
    url: str

    async def get(self, path: str) -> bytes:
        def fetch() -> bytes:
            with urllib.request.urlopen(f"{self.url}{path}", timeout=10) as response:
                body: bytes = response.read()
                return body

        return await asyncio.to_thread(fetch)

    async def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            await self.process.wait()
        assert self.process.returncode == 0


@asynccontextmanager
async def start(stdout: int = asyncio.subprocess.DEVNULL, **log: Any) -> AsyncIterator[Serving]:
    settings = {f"GATEWAY_LOG__{name.upper()}": str(value) for name, value in log.items()}
    async with serve(echo.register) as backend:
        arguments = ["--module", "gen.echo.v1", "--upstream", backend, "--listen", "127.0.0.1:0"]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway", "serve", *arguments,
            env=os.environ | settings, stdout=stdout, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            assert process.stderr is not None
            async with asyncio.timeout(20):
                while not (found := re.search(rb"(http://\S+)", await process.stderr.readline())):
                    pass
            yield Serving(process, found[1].decode())
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


async def test_a_gateway_that_is_told_to_end_writes_what_it_has_first(tmp_path: Path) -> None:
    access, events = tmp_path / "access.log", tmp_path / "events.log"
    async with start(access=access, events=events) as serving:
        await asyncio.gather(*(serving.get(f"/v1/echo/{number}") for number in range(20)))
        await serving.stop()
    assert {line["url.path"] for line in lines(access)} == {f"/v1/echo/{n}" for n in range(20)}
    assert [line["event.name"] for line in lines(events)][-2:] == [
        "gateway.draining",
        "gateway.stopped",
    ]


async def test_a_standard_output_that_is_gone_fails_no_request() -> None:
    async with AsyncExitStack() as stack:
        reading, writing = os.pipe()
        serving = await stack.enter_async_context(start(writing))
        os.close(writing)
        os.close(reading)
        for _ in range(3):
            assert b"hello" in await serving.get("/v1/echo/hello")
            await asyncio.sleep(0.3)
        await serving.stop()


async def test_a_standard_output_that_nobody_reads_fails_no_request() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while os.write(writing, b"x" * 4096):
            pass
    os.set_blocking(writing, True)
    async with start(writing) as serving:
        os.close(writing)
        for _ in range(3):
            assert b"hello" in await serving.get("/v1/echo/hello")
    os.close(reading)


async def test_signals_change_the_level(tmp_path: Path) -> None:
    access, events = tmp_path / "access.log", tmp_path / "events.log"
    async with start(access=access, events=events) as serving:

        async def told(number: signal.Signals, level: str) -> None:
            serving.process.send_signal(number)
            await until(lambda: f"the log level is now {level}" in events.read_text())

        await told(signal.SIGUSR2, "warn")
        await serving.get("/v1/echo/not-written")
        await asyncio.sleep(0.6)  # a line is judged when it is made
        await told(signal.SIGHUP, "info")
        await serving.get("/v1/echo/written")
        await told(signal.SIGUSR1, "debug")
        await serving.stop()
    assert [line["url.path"] for line in lines(access)] == ["/v1/echo/written"]
