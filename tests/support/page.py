"""A page in a headless Chromium that a test looks into, over the DevTools protocol."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from aiohttp import ClientSession
from websockets.asyncio.client import ClientConnection, connect

from tests.support.browser import FLAGS, chromium_path
from tests.support.polling import until

_LOAD_S = 40.0
_CAPTURED_BYTES = 64 * 1024 * 1024


@dataclass
class Page:
    """One page."""

    connection: ClientConnection
    complaints: list[str] = field(default_factory=list)
    """What the browser reports: errors of scripts, and what a policy refused."""
    numbers: "count[int]" = field(default_factory=lambda: count(1))

    async def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of one command."""
        number = next(self.numbers)
        text = json.dumps({"id": number, "method": method, "params": parameters})
        await self.connection.send(text)
        async with asyncio.timeout(_LOAD_S):
            while True:
                said = json.loads(await self.connection.recv())
                if said.get("id") == number:
                    result: dict[str, Any] = said["result"]
                    return result
                self._note(said)

    def _note(self, said: dict[str, Any]) -> None:
        if said.get("method") == "Log.entryAdded":
            entry = said["params"]["entry"]
            if entry["level"] == "error":
                self.complaints.append(f"{entry['text']} {entry.get('url', '')}")
        elif said.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(str(said["params"]["exceptionDetails"]))

    async def run(self, script: str) -> Any:
        """What the body of an async function returns."""
        expression = f"(async () => {{ {script} }})()"
        done = await self.ask(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    async def until(self, condition: str) -> None:
        """Waits until an expression is true in the page."""
        await self.run(f"""
            while (!({condition})) await new Promise((next) => setTimeout(next, 50));
        """)


@asynccontextmanager
async def open_page(url: str) -> AsyncIterator[Page]:
    """A page that shows a URL."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            chromium_path(),
            *FLAGS,
            "--window-size=1100,900",
            f"--user-data-dir={profile}",
            "--remote-debugging-port=0",
            "about:blank",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            told = Path(profile, "DevToolsActivePort")
            await until(lambda: told.exists() and "/" in told.read_text(), within_s=_LOAD_S)
            port, _ = told.read_text().split()  # noqa: ASYNC240 - a short file
            listed = f"http://127.0.0.1:{port}/json/list"
            async with ClientSession() as session, session.get(listed) as answer:
                targets = await answer.json()
            (target,) = [one for one in targets if one["type"] == "page"]
            address = target["webSocketDebuggerUrl"]
            async with connect(address, max_size=_CAPTURED_BYTES) as connection:
                page = Page(connection)
                for domain in ("Log", "Runtime", "Page"):
                    await page.ask(f"{domain}.enable")
                await page.ask("Page.navigate", url=url)
                await page.until(f"location.href.startsWith({json.dumps(url)})")
                yield page
        finally:
            process.terminate()
            await process.wait()
