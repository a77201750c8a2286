"""Several processes on one port: real ones, as `gateway serve --workers` starts them."""

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from services import echo
from services.serving import serve
from tests.support.polling import until
from tests.support.tls import Files

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
SAMPLE = Path("gen/descriptors.binpb")


class Supervised:
    """A `gateway serve --workers N` and what it said."""

    def __init__(self, process: asyncio.subprocess.Process, said: Path) -> None:
        self.process = process
        self._said = said
        self.port = 0
        self.tls: ssl.SSLContext | None = None

    @property
    def said(self) -> str:
        """All that was written to stderr so far."""
        return self._said.read_text()

    @property
    def workers(self) -> set[int]:
        """The pids of its workers."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return {int(child) for child in children if "spawn_main" in _command(int(child))}

    async def until(self, pattern: str, within_s: float = 20) -> "re.Match[str]":
        """Waits until it has said something."""
        async with asyncio.timeout(within_s):
            while not (found := re.search(pattern, self.said)):
                assert self.process.returncode is None, self.said
                await asyncio.sleep(0.02)
        return found

    async def ask(self, path: str = "/v1/echo/hello") -> tuple[int, str]:
        """The status of an answer on a connection of its own, and a name of who gave it."""
        async with asyncio.timeout(10):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=self.tls)
            writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
            answer = (await reader.read()).decode()
            writer.close()
        status, request_id = (
            re.search(r"^HTTP/1.1 (\d+)", answer),
            re.search(r"X-Request-Id: (\w+)-", answer),
        )
        assert status is not None
        assert request_id is not None
        return int(status[1]), request_id[1]

    async def answering(self, count: int) -> set[str]:
        """Asks until so many workers have answered; their names."""
        names: set[str] = set()
        async with asyncio.timeout(20):
            while len(names) < count:
                status, name = await self.ask()
                assert status == 200
                names.add(name)
        return names

    async def end(self, number: int = signal.SIGTERM) -> int:
        """Sends a signal and waits for the end; the exit code."""
        self.process.send_signal(number)
        async with asyncio.timeout(20):
            return await self.process.wait()


def _command(pid: int) -> str:
    with suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/cmdline").read_text()
    return ""


async def gone(pids: set[int], within_s: float = 10) -> None:
    """Waits until processes have ended."""
    async with asyncio.timeout(within_s):
        for pid in pids:
            await until(lambda: not _command(pid))  # noqa: B023 - called here alone


@asynccontextmanager
async def supervised(
    place: Path, *flags: str, workers: int = 2, descriptors: Path = SAMPLE
) -> AsyncIterator[Supervised]:
    """Workers before the echo service; what is left of them is killed in the end."""
    said = place / "stderr"
    async with serve(echo.register) as backend:
        with said.open("wb") as stderr:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "gateway", "serve", "--workers", str(workers)),
                *("--descriptors", str(descriptors), "--service", "echo.v1.*"),
                *("--upstream", backend, "--listen", "127.0.0.1:0", *flags),
                stderr=stderr, stdout=asyncio.subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        gateway = Supervised(process, said)
        try:
            yield gateway
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


@asynccontextmanager
async def running(place: Path, *flags: str, **options: int | Path) -> AsyncIterator[Supervised]:
    """As `supervised`, once it serves."""
    async with supervised(place, *flags, **options) as gateway:  # type: ignore[arg-type] # as above
        found = await gateway.until(r"serving 8 routes on http://127.0.0.1:(\d+) with \d workers")
        gateway.port = int(found[1])
        yield gateway


@pytest.fixture
def descriptors(tmp_path: Path) -> Path:
    """A descriptor set that can be taken away."""
    return Path(shutil.copy(SAMPLE, tmp_path / "api.binpb"))


async def test_every_worker_answers_on_the_one_port(tmp_path: Path) -> None:
    async with running(tmp_path) as gateway:
        await gateway.answering(2)
        assert len(gateway.workers) == 2
        assert await gateway.end() == 0


async def test_every_worker_answers_over_tls(tmp_path: Path) -> None:
    files = Files(tmp_path)
    settings = tmp_path / "gateway.yaml"
    settings.write_text(f"tls: {{cert_file: {files.cert}, key_file: {files.key}}}\n")
    async with supervised(tmp_path, "--config", str(settings)) as gateway:
        found = await gateway.until(r"serving 8 routes on https://127.0.0.1:(\d+) with 2 workers")
        gateway.port, gateway.tls = int(found[1]), files.context()
        assert len(await gateway.answering(2)) == 2


async def test_a_worker_that_is_killed_is_replaced_and_nobody_is_refused(tmp_path: Path) -> None:
    events, settings = tmp_path / "events.log", tmp_path / "gateway.yaml"
    settings.write_text(f"log: {{events: {events}}}\n")
    async with running(tmp_path, "--config", str(settings)) as gateway:
        before = await gateway.answering(2)
        victim = min(gateway.workers)
        os.kill(victim, signal.SIGKILL)
        statuses = [(await gateway.ask())[0] for _ in range(30)]
        assert statuses == [200] * 30
        await gateway.until(r"worker \d was ended by SIGKILL; another is started now")
        assert len(await gateway.answering(2) - before) == 1
        assert victim not in gateway.workers
        assert await gateway.end() == 0
    told = [json.loads(line) for line in events.read_text().splitlines()]
    (lost,) = [one for one in told if one.get("event.name") == "gateway.worker.lost"]
    assert lost["severity_text"] == "ERROR"
    assert re.fullmatch(r"worker \d was ended by SIGKILL", lost["body"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_what_is_under_way_is_finished_when_it_is_told_to_end(
    tmp_path: Path, number: signal.Signals
) -> None:
    async with running(tmp_path) as gateway:
        await gateway.answering(2)
        workers = gateway.workers
        slow = asyncio.create_task(gateway.ask("/v1/echo:sleep?duration=1s"))
        await asyncio.sleep(0.3)
        # To the whole group, as a terminal does for Ctrl-C.
        os.killpg(gateway.process.pid, number) if number == signal.SIGINT else None
        assert await gateway.end(number) == 0
        assert (await slow)[0] == 200
        await gone(workers)
        assert gateway.said.count("finishing the requests under way") == 1
        assert "Traceback" not in gateway.said


async def test_workers_end_when_nobody_watches_over_them_any_more(tmp_path: Path) -> None:
    async with running(tmp_path) as gateway:
        workers = gateway.workers
        assert await gateway.end(signal.SIGKILL) == -signal.SIGKILL
        await gone(workers)


async def test_a_worker_that_cannot_start_again_is_tried_until_it_can(
    tmp_path: Path, descriptors: Path
) -> None:
    async with running(tmp_path, workers=2, descriptors=descriptors) as gateway:
        shutil.move(descriptors, tmp_path / "away")
        os.kill(min(gateway.workers), signal.SIGKILL)
        await gateway.until(
            r"worker \d cannot start: .*api.binpb: cannot be read.*started in 0.5 s", within_s=40
        )
        shutil.move(tmp_path / "away", descriptors)
        await gateway.answering(2)
        assert await gateway.end() == 0


async def test_what_keeps_all_workers_from_starting_is_said_once(tmp_path: Path) -> None:
    async with supervised(tmp_path, descriptors=tmp_path / "none.binpb") as gateway:
        async with asyncio.timeout(20):
            assert await gateway.process.wait() == 1
        assert gateway.said.count("none.binpb: cannot be read") == 1
        assert "Traceback" not in gateway.said
        assert gateway.said.splitlines()[-1].startswith("gateway: ")


async def test_a_taken_port_is_said_before_any_worker_is_started(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        async with supervised(tmp_path, "--listen", listen) as gateway:
            async with asyncio.timeout(20):
                assert await gateway.process.wait() == 1
            assert gateway.said.startswith(f"gateway: cannot listen on {listen}: the port is taken")
            assert len(gateway.said.splitlines()) == 1


async def test_it_can_be_told_to_end_while_it_starts(tmp_path: Path) -> None:
    async with supervised(tmp_path) as gateway:
        await until(lambda: gateway.workers, within_s=20)
        workers = gateway.workers
        assert await gateway.end() == 0
        await gone(workers)
        assert "Traceback" not in gateway.said
