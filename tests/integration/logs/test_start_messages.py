"""What a gateway says when it starts and ends is said once, wherever its streams lead."""

import asyncio
import os
import pty
import re
import signal
import sys
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from services import echo
from services.serving import serve

WITHIN_S = 30


class Terminal:
    """What a process writes to a terminal that it has for both its outputs."""

    def __init__(self) -> None:
        self._leader, self.follower = pty.openpty()
        os.set_blocking(self._leader, False)
        self._shown = ""

    def shown(self) -> str:
        """All that was written so far."""
        with suppress(OSError):  # nothing more now, or nobody has it any more
            while data := os.read(self._leader, 65536):
                self._shown += data.decode()
        return self._shown

    def close(self) -> None:
        """Takes the terminal away."""
        os.close(self._leader)


@asynccontextmanager
async def running(
    stdout: int, stderr: int, *, workers: int, **settings: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A gateway before the echo service with these outputs."""
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    async with serve(echo.register) as backend:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", "serve", "--workers", str(workers)),
            *("--module", "gen.echo.v1", "--upstream", backend, "--listen", "127.0.0.1:0"),
            env=environment | {"TERM": "xterm"} | settings, stdout=stdout, stderr=stderr,
        )  # fmt: skip
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def until(shown: Callable[[], str], pattern: str) -> "re.Match[str]":
    """Waits until something is shown."""
    async with asyncio.timeout(WITHIN_S):
        while not (found := re.search(pattern, shown())):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.02)
    return found


async def ended(process: asyncio.subprocess.Process) -> None:
    """Has a gateway end."""
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(WITHIN_S):
        assert await process.wait() == 0


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_terminal_shows_each_message_once(workers: int) -> None:
    terminal = Terminal()
    both = terminal.follower
    async with running(both, both, workers=workers) as process:
        os.close(both)
        found = await until(terminal.shown, r"serving \d+ routes on (http://\S+)")
        if workers > 1:
            await until(terminal.shown, r"worker 2 serves")
        url = f"{found[1]}/v1/echo/hello".replace("\x1b[0m", "")
        await asyncio.to_thread(lambda: urllib.request.urlopen(url, timeout=10).close())
        shown = (await until(terminal.shown, r"(?s).*GET /v1/echo/hello[^\n]*"))[0]
        assert len(re.findall(r"serving \d+ routes on", shown)) == 1
        assert len(re.findall(r"\bstarting\b", shown)) == 1
        assert "\x1b[32m200\x1b[0m OK" in shown
        written = [line for line in shown.splitlines() if line]
        assert all(re.match(r"\d{4}-\d\d-\d\dT[\d:.]{12}Z ", line) for line in written), shown
        assert [line[:24] for line in written] == sorted(line[:24] for line in written)
        await ended(process)
        if workers == 1:
            assert terminal.shown().count("finishing the requests under way") == 1
    terminal.close()


@pytest.mark.parametrize("workers", [1, 2])
async def test_two_streams_into_one_file_say_each_message_once(
    tmp_path: Path, workers: int
) -> None:
    file = tmp_path / "all"
    with file.open("wb") as out:
        async with running(out.fileno(), out.fileno(), workers=workers) as process:
            await until(file.read_text, r"serving \d+ routes")
            if workers > 1:
                await until(file.read_text, r"worker 2 serves")
            await ended(process)
    said = file.read_text()
    assert len(re.findall(r"serving \d+ routes", said)) == 1
    assert said.count("gateway.started") == 1


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"GATEWAY_LOG__EVENTS": "'off'"}, id="no events"),
        pytest.param({"GATEWAY_LOG__LEVEL": "warn"}, id="a level that leaves them out"),
    ],
)
async def test_what_the_log_does_not_say_is_said_on_standard_error(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    file = tmp_path / "all"
    with file.open("wb") as out:
        async with running(out.fileno(), out.fileno(), workers=2, **settings) as process:
            await until(file.read_text, r"gateway: serving \d+ routes on \S+ with 2 workers")
            await ended(process)
    assert file.read_text().count("serving") == 1


async def test_several_workers_write_down_once_what_is_true_of_all(tmp_path: Path) -> None:
    events, stderr = tmp_path / "events.log", tmp_path / "stderr"
    events.touch()
    settings = {"GATEWAY_LOG__EVENTS": str(events)}
    with stderr.open("wb") as err:
        async with running(
            asyncio.subprocess.DEVNULL, err.fileno(), workers=2, **settings
        ) as process:
            await until(events.read_text, r"worker 2 serves")
            await ended(process)
    said = events.read_text()
    for name in ("gateway.started", "gateway.listening", "gateway.worker.started"):
        assert said.count(f'"{name}"') == 1, name
    assert len(re.findall(r"gateway: serving", stderr.read_text())) == 1
