"""A real headless Chromium that runs a script in a page and says what came of it."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from aiohttp import web

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
_PAGE = """<!doctype html><meta charset="utf-8"><script type="module">
const report = (what) => fetch("REPORTS/report",
  {method: "POST", mode: "no-cors", body: JSON.stringify(what)});
try { report({result: await (async () => { SCRIPT })()}); }
catch (error) { report({error: String(error)}); }
</script>"""


@dataclass
class Browser:
    """A browser, and two places for its page: where the gateway is, and elsewhere."""

    url: str = ""
    """The origin that is the gateway's too."""
    elsewhere: str = ""
    """Another origin."""
    script: str = ""
    reports: "asyncio.Queue[Any]" = field(default_factory=asyncio.Queue)

    async def run(self, script: str, *, origin: str = "", within_s: float = 40.0) -> Any:
        """What the body of an async function returns, run in a page of an origin."""
        self.script = script
        with TemporaryDirectory(ignore_cleanup_errors=True) as profile:
            process = await asyncio.create_subprocess_exec(
                chromium_path(),
                *FLAGS,
                f"--user-data-dir={profile}",
                "--remote-debugging-port=0",
                f"{origin or self.url}/page",
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
            )
            try:
                async with asyncio.timeout(within_s):
                    said = await self.reports.get()
            finally:
                process.terminate()
                await process.wait()
        assert "error" not in said, said["error"]
        return said["result"]


def chromium_path() -> str:
    """The path of the browser; without one the test is skipped."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name)
        if found is not None:
            return str(Path(found))
    pytest.skip("needs chromium: apt-get install chromium")


@asynccontextmanager
async def browser(gateway: str) -> AsyncIterator[Browser]:
    """A browser before a gateway at `host:port`."""
    opened = Browser()

    async def page(_: web.Request) -> web.Response:
        text = _PAGE.replace("REPORTS", opened.elsewhere).replace("SCRIPT", opened.script)
        response = web.Response(text=text, content_type="text/html")
        response.force_close()  # the next request of this connection may be the gateway's
        return response

    async def report(request: web.Request) -> web.Response:
        opened.reports.put_nowait(json.loads(await request.text()))
        return web.Response()

    app = web.Application()
    app.add_routes([web.get("/page", page), web.post("/report", report)])
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        opened.elsewhere = f"http://{host}:{port}"
        async with _one_origin(gateway, f"{host}:{port}") as opened.url:
            yield opened
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _one_origin(gateway: str, pages: str) -> AsyncIterator[str]:
    """An origin where `/page` is the page and all else the gateway."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        task.add_done_callback(lambda _: writer.close())
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            line = await reader.readuntil(b"\r\n")
            host, _, port = (pages if b" /page " in line else gateway).rpartition(":")
            far_reader, far_writer = await asyncio.open_connection(host, int(port))
            far_writer.write(line)
            try:
                await asyncio.gather(_pipe(reader, far_writer), _pipe(far_reader, writer))
            finally:
                far_writer.close()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        waiting = list(tasks)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await asyncio.sleep(0.05)  # closed sockets are let go of in the loop's next turns


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()
