"""A soak test of a whole gateway: mixed traffic, reloads and killed workers; memory must not grow.

`python -m benchmarks.soak_gateway --minutes 15`. Two workers serve calls, streams, WebSockets and
requests that fail or leave. One of them is killed again and again; the other and the supervisor
live on, and their memory and open files must be flat. A request may fail only if its connection was
open when a worker was killed.
"""

import argparse
import asyncio
import itertools
import json
import os
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus

from services import echo
from services.serving import serve
from tests.support.http import RawClient

_WORKERS = 2
# A handshake that is cut is an `InvalidMessage`.
_LOST = (OSError, EOFError, TimeoutError, ConnectionClosed, InvalidMessage)
_MOST_GROWTH_MB = 8.0
_MOST_MORE_FILES = 8.0
_WARM_UP = 1 / 3
"""The part of the time in which buffers and caches may still grow."""
_SERVING = re.compile(rb"serving .* on http://[\d.]+:(\d+)")
_REPEAT = "/v1/echo/x:repeat?count={}&interval=0.02s"


@dataclass
class Samples:
    """What one process took, over the time."""

    at_s: list[float] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)
    files: list[float] = field(default_factory=list)

    def note(self, pid: int) -> None:
        """Takes a sample of a process."""
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        self.at_s.append(time.monotonic())
        self.memory_mb.append(pages * os.sysconf("SC_PAGE_SIZE") / 2**20)
        self.files.append(float(sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())))

    def growth(self, values: list[float]) -> float:
        """How much a straight line through the values rises after the warm-up (least squares)."""
        start = int(len(values) * _WARM_UP)
        times, values = self.at_s[start:], values[start:]
        if len(times) < 3:
            return 0.0
        middle, mean = sum(times) / len(times), sum(values) / len(values)
        pairs = zip(times, values, strict=True)
        rise = sum((at - middle) * (value - mean) for at, value in pairs)
        return rise / sum((at - middle) ** 2 for at in times) * (times[-1] - times[0])


@dataclass
class Soak:
    """The results."""

    done: Counter[str] = field(default_factory=Counter)
    """Requests, streams and so on by kind."""
    cut: int = 0
    """Connections that were lost with a worker that was killed."""
    kills: int = 0
    reloads: int = 0
    faults: list[str] = field(default_factory=list)
    survivor: Samples = field(default_factory=Samples)
    supervisor: Samples = field(default_factory=Samples)
    killed_s: float = 0.0

    def fault(self, text: str) -> None:
        """Keeps a fault; only the first few texts."""
        if len(self.faults) < 20:
            self.faults.append(text)

    def judge(self) -> None:
        """Adds a fault for whatever has grown."""
        for name, samples in (("survivor", self.survivor), ("supervisor", self.supervisor)):
            if (grown_mb := samples.growth(samples.memory_mb)) > _MOST_GROWTH_MB:
                self.fault(f"the memory of the {name} grew by {grown_mb:.1f} MB")
            if (more := samples.growth(samples.files)) > _MOST_MORE_FILES:
                self.fault(f"the open files of the {name} grew by {more:.1f}")


class Gateway:
    """The gateway under test, its settings and its admin listener."""

    def __init__(self, place: Path, back_end: str) -> None:
        self._settings = place / "gateway.yaml"
        self._admin = place / "admin.sock"
        self._back_end = back_end
        self.pid = self.port = 0
        self.change(0)

    @property
    def command(self) -> tuple[str, ...]:
        """The command that starts it."""
        return (sys.executable, "-m", "gateway", "serve", "--config", str(self._settings))

    def change(self, number: int) -> None:
        """Writes other settings, which the next reload takes."""
        settings = {
            "listen": "127.0.0.1:0",
            "workers": _WORKERS,
            "modules": ["gen.echo.v1"],
            "upstreams": {"echo": {"target": self._back_end}},
            "log": {"access": "off"},
            "admin": {"listen": f"unix:{self._admin}"},
            "cors": {"origins": [f"https://{number}.example"]},
        }
        self._settings.write_text(json.dumps(settings))

    async def connect(self) -> RawClient:
        """A new connection to the public port."""
        return RawClient(*await asyncio.open_connection("127.0.0.1", self.port))

    async def ask(self, path: str) -> Any:
        """What the admin listener says."""
        return await self._admin_request(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")

    async def reload(self) -> Any:
        """Reloads the settings."""
        fields = "Host: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
        return await self._admin_request(f"POST /reload HTTP/1.1\r\n{fields}\r\n{{}}")

    async def workers(self) -> list[int]:
        """The processes of the workers that serve, in order."""
        found = (await self.ask("/workers"))["workers"]
        return [one["pid"] for one in found if one["state"] == "serving"]

    async def all_serve(self) -> list[int]:
        """Waits until all workers serve."""
        async with asyncio.timeout(60):
            while len(pids := await self.workers()) < _WORKERS:  # noqa: ASYNC110 - a process
                await asyncio.sleep(0.1)
        return pids

    async def _admin_request(self, request: str) -> Any:
        client = RawClient(*await asyncio.open_unix_connection(self._admin))
        try:
            await client.send(request)
            return (await client.answer()).json()
        finally:
            client.writer.close()


Act = Callable[[Gateway], Awaitable[None]]
"""Uses one connection; raises AssertionError for a wrong answer."""


async def call(gateway: Gateway) -> None:
    """Makes twenty calls on one connection."""
    async with _connected(gateway) as client:
        for number in range(20):
            answer = await client.get(f"/v1/echo/hello-{number}")
            assert answer.json()["text"] == f"hello-{number}", answer
            await asyncio.sleep(0.005)


async def call_large(gateway: Gateway) -> None:
    """Sends a body of 100 kB, and gets it back."""
    text = "x" * 100_000
    async with _connected(gateway) as client:
        answer = await _post(client, json.dumps({"text": text}))
        assert answer.json()["text"] == text


async def fail(gateway: Gateway) -> None:
    """Sends requests that fail, each in its own way."""
    async with _connected(gateway) as client:
        for path, status in (("/nowhere", 404), ("/v1/echo:fail?code=9", 400)):
            assert (await client.get(path)).status == status
        assert (await client.get("/v1/echo:fail?code=13")).status == 500
        assert (await _post(client, '{"text": ')).status == 400
        await client.send("nonsense\r\n\r\n")
        assert (await client.answer()).status == 400
    await asyncio.sleep(0.02)


async def leave(gateway: Gateway) -> None:
    """Leaves a stream, a call and a half-sent body."""
    for text in (
        f"GET {_REPEAT.format(1000)} HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /v1/echo:sleep?duration=20s HTTP/1.1\r\nHost: a\r\n\r\n",
        'POST /v1/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\n{"text":',
    ):
        async with _connected(gateway) as client:
            await client.send(text)
            await asyncio.sleep(0.03)


async def stream(gateway: Gateway) -> None:
    """Reads a stream of twenty messages to its end."""
    async with _connected(gateway) as client:
        answer = await client.get(_REPEAT.format(20), "Accept: application/x-ndjson")
        assert len(answer.body.splitlines()) == 20, answer


async def websocket(gateway: Gateway) -> None:
    """Reads a stream over a WebSocket."""
    url = f"ws://127.0.0.1:{gateway.port}{_REPEAT.format(20)}"
    async with connect(url, proxy=None) as client:
        await client.send("")
        count = 0
        with suppress(ConnectionClosed):
            while True:
                json.loads(await client.recv())
                count += 1
        if count < 20:
            raise ConnectionError(f"closed after {count} messages: {client.close_code}")


ACTS: tuple[tuple[Act, int], ...] = (
    (call, 4), (call_large, 1), (fail, 1), (leave, 1), (stream, 3), (websocket, 2),
)  # fmt: skip
"""What clients do, and how many do it at a time."""


async def soak(seconds: float, place: Path) -> Soak:
    """Runs the soak test."""
    found = Soak()
    async with serve(echo.register) as back_end, _serving(Gateway(place, back_end)) as gateway:
        survivor = (await gateway.all_serve())[0]
        until_s = time.monotonic() + seconds
        clients = [
            _repeat(act, gateway, found, until_s) for act, count in ACTS for _ in range(count)
        ]
        async with asyncio.TaskGroup() as group:
            for one in clients:
                group.create_task(one)
            group.create_task(_disturb(gateway, survivor, found, until_s))
            group.create_task(_watch(gateway, survivor, found, until_s))
    found.judge()
    return found


async def _repeat(act: Act, gateway: Gateway, found: Soak, until_s: float) -> None:
    name = getattr(act, "__name__", "")
    while (started_s := time.monotonic()) < until_s:
        try:
            async with asyncio.timeout(30):
                await act(gateway)
        except _LOST as error:
            if started_s > found.killed_s:
                found.fault(f"{name}: {error!r}, and no worker had been killed meanwhile")
            found.cut += 1
        except (AssertionError, InvalidStatus) as error:
            found.fault(f"{name}: a wrong answer: {str(error)[:600]}")
        else:
            found.done[name] += 1


async def _disturb(gateway: Gateway, survivor: int, found: Soak, until_s: float) -> None:
    """Reloads and kills in turn."""
    for number in itertools.count(1):
        await asyncio.sleep(min(3.0, max(0.0, until_s - time.monotonic())))
        if time.monotonic() >= until_s:
            return
        if number % 3:
            gateway.change(number)
            said = await gateway.reload()
            if not said.get("generation"):
                found.fault(f"a reload was refused: {said}")
            found.reloads += 1
            continue
        for victim in await gateway.workers():
            if victim != survivor:
                os.kill(victim, signal.SIGKILL)
                found.killed_s = time.monotonic()
                found.kills += 1
        await gateway.all_serve()


async def _watch(gateway: Gateway, survivor: int, found: Soak, until_s: float) -> None:
    while time.monotonic() < until_s:
        try:
            found.survivor.note(survivor)
            found.supervisor.note(gateway.pid)
        except OSError as error:
            found.fault(f"a process that should live on is gone: {error}")
            return
        await asyncio.sleep(0.5)


@asynccontextmanager
async def _serving(gateway: Gateway) -> AsyncIterator[Gateway]:
    """Runs a gateway while the block runs, from when it serves."""
    process = await asyncio.create_subprocess_exec(
        *gateway.command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    said, reading, found = process.stderr, None, None
    try:
        async with asyncio.timeout(60):
            while (line := await said.readline()) and not (found := _SERVING.search(line)):
                pass
        assert found is not None, "the gateway ended before it served"
        gateway.pid, gateway.port = process.pid, int(found[1])
        reading = asyncio.create_task(_read(said))
        yield gateway
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.wait()
        if reading is not None:
            await reading


async def _read(said: asyncio.StreamReader) -> None:
    while await said.readline():
        pass


@asynccontextmanager
async def _connected(gateway: Gateway) -> AsyncIterator[RawClient]:
    client = await gateway.connect()
    try:
        yield client
    finally:
        client.writer.close()


async def _post(client: RawClient, body: str) -> Any:
    fields = f"Host: a\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    await client.send(f"POST /v1/echo HTTP/1.1\r\n{fields}\r\n{body}")
    return await client.answer()


def main() -> int:
    """Runs the soak test, prints the results, and returns 1 if there are faults."""
    parser = argparse.ArgumentParser(description="Soak a gateway.")
    parser.add_argument("--minutes", type=float, default=15.0)
    minutes = parser.parse_args().minutes
    with tempfile.TemporaryDirectory() as place:
        found = asyncio.run(soak(minutes * 60, Path(place)))
    print("  ".join(f"{name} {count}" for name, count in found.done.most_common()))
    print(f"{found.reloads} reloads, {found.kills} workers killed, {found.cut} connections lost")
    for name, samples in (("survivor", found.survivor), ("supervisor", found.supervisor)):
        memory, files = samples.memory_mb, samples.files
        print(
            f"{name}: {memory[0]:.1f} MB first, {max(memory):.1f} most, {memory[-1]:.1f} last, "
            f"grew by {samples.growth(memory):.1f}; open files {max(files):.0f} most, grew by "
            f"{samples.growth(files):.1f}"
        )
    for fault in found.faults:
        print(f"FAULT {fault}")
    return bool(found.faults)


if __name__ == "__main__":
    sys.exit(main())
