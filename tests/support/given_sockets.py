"""Starts a gateway as a service manager does that has opened its sockets (sd_listen_fds(3))."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

_ROOT = Path(__file__).parents[2]
# The process that is started becomes the gateway, so it is the one that LISTEN_PID names. Its
# sockets are first moved away: their numbers can be those that they must get.
_LAUNCHER = """
import fcntl, os, sys
count = int(os.environ["LISTEN_FDS"])
moved = [fcntl.fcntl(int(one), fcntl.F_DUPFD, 100) for one in sys.argv[1 : count + 1]]
for number, one in enumerate(moved, 3):
    os.dup2(one, number)
    os.close(one)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.executable, [sys.executable, *sys.argv[count + 1 :]])
"""


class Activated:
    """A gateway that was given its sockets, and what it said."""

    def __init__(self, process: asyncio.subprocess.Process, said: Path) -> None:
        self.process = process
        self._said = said

    @property
    def said(self) -> str:
        """All that was written to stderr so far."""
        return self._said.read_text()

    async def until(self, text: str, within_s: float = 40) -> None:
        """Waits until it has said something."""
        async with asyncio.timeout(within_s):
            while text not in self.said:
                assert self.process.returncode is None, self.said
                await asyncio.sleep(0.02)

    async def end(self) -> int:
        """Tells it to end, and returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return await self.ended()

    async def ended(self) -> int:
        """Waits for the end; returns the exit code."""
        async with asyncio.timeout(40):
            return await self.process.wait()


@asynccontextmanager
async def activated(
    said: Path, given: Sequence[tuple[str, socket.socket]], *arguments: str
) -> AsyncIterator[Activated]:
    """Runs `python -m gateway` with these arguments and sockets, by name; it is killed at the end.

    What it says goes into the file `said`.
    """
    numbers = [one.fileno() for _, one in given]
    environment = {
        "LISTEN_FDS": str(len(given)),
        "LISTEN_FDNAMES": ":".join(name for name, _ in given),
        "PYTHONPATH": str(_ROOT),
    }
    with said.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _LAUNCHER, *map(str, numbers), "-m", "gateway", *arguments),
            env={**os.environ, **environment}, pass_fds=numbers, stderr=stderr,
            stdout=asyncio.subprocess.DEVNULL, start_new_session=True, cwd=_ROOT,
        )  # fmt: skip
    try:
        yield Activated(process, said)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
