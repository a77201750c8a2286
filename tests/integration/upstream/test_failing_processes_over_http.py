"""A gateway over HTTP before three servers in processes of their own, under load, while one fails.

With the default settings no GET fails, no POST is processed twice (the servers count), and calls
spread over all servers within 10 s of the recovery.
"""

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.app.gateway import open_gateway
from gateway.config.model import Config
from tests.support.load import Load, load_by, over_http
from tests.support.polling import until
from tests.support.server_process import (
    SLOW_S,
    ServerProcess,
    gateway_settings,
    processed,
    server_processes,
)
from tests.support.tls import Files

pytestmark = pytest.mark.slow

ALL = ("0", "1", "2")
REST = ("0", "1")
FAR = ("1", "2")


def settings(place: Path, servers: list[ServerProcess], **upstream: Any) -> dict[str, Any]:
    """The settings of the gateway."""
    targets = [{"address": one.target} for one in servers]
    return gateway_settings(place, targets=targets, **upstream)


@asynccontextmanager
async def loaded(config: dict[str, Any], servers: list[ServerProcess]) -> AsyncIterator[Load]:
    """A load on a gateway with these settings, and the checks at its end."""
    async with (
        open_gateway(Config.model_validate(config)) as gateway,
        load_by(over_http(gateway), reads=8, writes=4) as load,
    ):
        await load.spreads_over(ALL)
        yield load
    check(load, servers)


def check(load: Load, servers: list[ServerProcess]) -> None:
    """No GET failed, and no POST was processed twice."""
    assert load.failed["Read"] == []
    counted = processed(servers)
    assert [one for one, times in counted.items() if times > 1 and one.startswith("Write")] == []
    assert load.writes > 0
    assert sum(one.startswith("Write") for one in counted) >= load.writes


async def killed(load: Load, server: ServerProcess) -> None:
    await server.end(signal.SIGKILL)
    await load.spreads_over(REST)
    await server.start()


async def drained(load: Load, server: ServerProcess) -> None:
    await server.end(signal.SIGTERM)
    await load.spreads_over(REST)
    await server.start()


async def stopped(load: Load, server: ServerProcess) -> None:
    failed = len(load.failed["Write"])
    server.send(signal.SIGSTOP)
    await asyncio.sleep(1.5)  # the time is the subject
    server.send(signal.SIGCONT)
    await load.more(100)
    assert len(load.failed["Write"]) == failed, "who stands still for a while loses no call"


async def slow(load: Load, server: ServerProcess) -> None:
    failed = len(load.failed["Write"])
    server.send(signal.SIGUSR2)
    before = load.answers.copy()
    await asyncio.sleep(3 * SLOW_S)  # the time is the subject
    assert (load.answers - before)["2"] < (load.answers - before)["1"] + 1
    server.send(signal.SIGUSR2)
    await load.more(100)
    assert len(load.failed["Write"]) == failed, "a slow answer is no failure"


async def failing(load: Load, server: ServerProcess) -> None:
    await server.end(signal.SIGTERM)
    server.fails = True
    await server.start()
    await load.more(300)
    await until(lambda: any("as told" in one for one in load.failed["Write"]), within_s=10)
    await server.end(signal.SIGTERM)
    server.fails = False
    await server.start()


@pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "tls"])
async def test_no_get_fails_and_no_post_is_done_twice(tmp_path: Path, *, is_tls: bool) -> None:
    pair, upstream = None, {}
    if is_tls:
        files = Files(tmp_path)
        trusted = tmp_path / "ca"
        files.ca.cert_pem.write_to_path(trusted)
        pair, upstream = (files.cert, files.key), {"tls": {"ca_file": str(trusted)}}
    async with (
        server_processes(tmp_path, tls=pair, speaks_messages=True) as servers,
        loaded(settings(tmp_path, servers, **upstream), servers) as load,
    ):
        for happens in (killed, stopped, drained, slow, failing):
            await happens(load, servers[2])
            await load.spreads_over(ALL, within_s=10)
            assert load.failed["Read"] == [], happens.__name__


async def test_a_zone_in_the_settings_keeps_requests_near(tmp_path: Path) -> None:
    async with server_processes(tmp_path, speaks_messages=True) as servers:
        config = settings(tmp_path, servers, zones={"force_local": {}})
        targets = config["upstreams"]["bytes"]["targets"]
        for zone, target in zip("abb", targets, strict=True):
            target["zone"] = zone
        async with (
            open_gateway(Config.model_validate(config | {"zone": "a"})) as gateway,
            load_by(over_http(gateway), reads=2, writes=0) as load,
        ):
            await load.spreads_over(("0",))
            await servers[0].end()
            await load.spreads_over(FAR)
            assert load.failed["Read"] == []


@dataclass
class Island:
    """A network namespace with one cable to this one, which can be cut."""

    name: str
    host: str

    def cut(self) -> None:
        """Drops all packets from now on; nobody is told."""
        ip("-n", self.name, "link", "set", "inside", "down")

    def join(self) -> None:
        """Lets packets pass again."""
        ip("-n", self.name, "link", "set", "inside", "up")


def ip(*words: str) -> None:
    """Runs `ip`; raises OSError if it fails."""
    done = subprocess.run(["ip", *words], capture_output=True, text=True, timeout=20, check=False)
    if done.returncode:
        raise OSError(f"ip {' '.join(words)}: {done.stderr.strip()}")


@pytest.fixture
def island() -> Iterator[Island]:
    """A network namespace of its own."""
    number = os.getpid() % 16_384  # a network of four addresses for each process
    network = f"10.213.{number // 64}.{number % 64 * 4}"
    here, there = (f"{network.rpartition('.')[0]}.{number % 64 * 4 + n}" for n in (1, 2))
    name, cable = f"gw-island-{os.getpid()}", f"gwi{os.getpid()}"
    try:
        ip("netns", "add", name)
    except (OSError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"needs network namespaces, so Linux, iproute2 and root: {error}")
    try:
        ip("link", "add", cable, "type", "veth", "peer", "name", "inside", "netns", name)
        ip("addr", "add", f"{here}/30", "dev", cable)
        ip("link", "set", cable, "up")
        ip("-n", name, "addr", "add", f"{there}/30", "dev", "inside")
        ip("-n", name, "link", "set", "inside", "up")
        yield Island(name, there)
    finally:
        ip("netns", "del", name)  # and its end of the cable, and so the other


async def test_a_server_that_the_network_no_longer_reaches(tmp_path: Path, island: Island) -> None:
    """Nothing ends the connections: only that nothing is acknowledged tells of it."""
    async with server_processes(tmp_path, count=2, speaks_messages=True) as servers:
        far = ServerProcess("2", tmp_path / "notes-2", host=island.host)
        far.speaks_messages, far.place = True, ("ip", "netns", "exec", island.name)
        try:
            await far.start()
            everyone = [*servers, far]
            config = settings(tmp_path, everyone, unacknowledged_s=1.5)
            async with loaded(config, everyone) as load:
                for _ in range(2):
                    island.cut()
                    await load.spreads_over(REST)
                    await load.more(200)
                    island.join()
                    await load.spreads_over(ALL, within_s=10)
        finally:
            await far.end()
