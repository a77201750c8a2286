"""A real gateway under a service manager that listens as systemd does (sd_notify(3))."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.process.test_workers import supervised
from tests.support.polling import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")


class Manager:
    """A service manager, and what it was told."""

    def __init__(self, heard: socket.socket) -> None:
        self._heard = heard
        self.told: list[str] = []

    def has(self, state: str, times: int = 1) -> bool:
        """True if it has been told a state so often."""
        while True:
            try:
                self.told.append(self._heard.recv(4096).decode())
            except BlockingIOError:
                return sum(one.startswith(state) for one in self.told) >= times


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(tmp_path / "notify"))
        heard.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "1000000")
        yield Manager(heard)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, pytest.param(2, id="2 workers")])
async def test_the_manager_hears_of_every_state(
    tmp_path: Path, manager: Manager, workers: int
) -> None:
    async with supervised(tmp_path, workers=workers) as gateway:
        await until(lambda: manager.has("READY=1"), within_s=30)
        assert "serving 8 routes on http://127.0.0.1:" in manager.told[0]
        await until(lambda: manager.has("WATCHDOG=1", 2), within_s=20)
        gateway.process.send_signal(signal.SIGHUP)
        await until(lambda: manager.has("RELOADING=1\nMONOTONIC_USEC="), within_s=20)
        await until(lambda: manager.has("READY=1", 2), within_s=20)
        assert await gateway.end() == 0
        assert manager.has("STOPPING=1")
        states = [one.split("\n")[0] for one in manager.told if one != "WATCHDOG=1"]
        assert states == ["READY=1", "RELOADING=1", "READY=1", "STOPPING=1"]


@pytest.mark.slow
async def test_no_sign_of_life_while_every_worker_hangs(tmp_path: Path, manager: Manager) -> None:
    async with supervised(tmp_path) as gateway:
        await gateway.until("serving 8 routes")
        await until(lambda: manager.has("WATCHDOG=1"), within_s=20)
        await until(lambda: len(gateway.workers) == 2, within_s=20)
        for pid in gateway.workers:
            os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(2)
        manager.has("")
        manager.told.clear()
        await asyncio.sleep(2)
        assert not manager.has("WATCHDOG=1")
