"""Three servers in processes of their own, with the default settings, under load, while one fails.

No call that may be repeated fails, no other is processed twice (the servers count), and calls go to
all servers again within 10 s of the recovery.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.balanced import channel_to
from tests.support.load import Load, load_on
from tests.support.polling import until
from tests.support.server_process import ServerProcess, processed, server_processes
from tests.support.tls import Files

pytestmark = pytest.mark.slow

ALL = ("0", "1", "2")
REST = ("0", "1")


@asynccontextmanager
async def loaded(
    place: Path,
    pair: tuple[Path, Path] | None = None,
    load: dict[str, Any] | None = None,
    **more: Any,
) -> AsyncIterator[tuple[list[ServerProcess], Load]]:
    """The servers, and a load on all of them."""
    async with server_processes(place, tls=pair) as servers:
        async with (
            channel_to([one.target for one in servers], **more) as channel,
            load_on(channel, **(load or {})) as running,
        ):
            await running.spreads_over(ALL)
            yield servers, running
        check(servers, running)


def check(servers: Sequence[ServerProcess], load: Load) -> None:
    """No read failed, and no write was processed twice."""
    assert load.failed["Read"] == []
    counted = processed(servers)
    assert [one for one, times in counted.items() if times > 1 and one.startswith("Write")] == []
    assert load.writes > 0
    assert sum(one.startswith("Write") for one in counted) >= load.writes


async def test_one_is_killed_and_started_again(tmp_path: Path) -> None:
    async with loaded(tmp_path) as (servers, load):
        for _ in range(2):
            await servers[2].end(signal.SIGKILL)
            await load.spreads_over(REST)
            await servers[2].start()
            await load.spreads_over(ALL, within_s=10)


async def test_one_is_killed_and_started_again_over_tls(tmp_path: Path) -> None:
    files = Files(tmp_path)
    trusted = tmp_path / "ca"
    files.ca.cert_pem.write_to_path(trusted)
    pair = (files.cert, files.key)
    async with loaded(tmp_path, pair, tls={"ca_file": str(trusted)}) as (servers, load):
        await servers[2].end(signal.SIGKILL)
        await load.spreads_over(REST)
        await servers[2].start()
        await load.spreads_over(ALL, within_s=10)


async def test_one_is_drained_and_started_again(tmp_path: Path) -> None:
    async with loaded(tmp_path) as (servers, load):
        await servers[2].end(signal.SIGTERM)
        await load.spreads_over(REST)
        await servers[2].start()
        await load.spreads_over(ALL, within_s=10)


async def test_one_that_says_so_before_it_drains_loses_no_call_at_all(tmp_path: Path) -> None:
    async with loaded(tmp_path, health={}) as (servers, load):
        servers[2].send(signal.SIGUSR1)  # NOT_SERVING
        await load.spreads_over(REST)
        await servers[2].end(signal.SIGTERM)
        await servers[2].start()
        await load.spreads_over(ALL, within_s=10)
    assert load.failed["Write"] == []


async def test_one_stands_still_for_a_while(tmp_path: Path) -> None:
    async with loaded(tmp_path) as (servers, load):
        servers[2].send(signal.SIGSTOP)
        await asyncio.sleep(2)  # the time is the subject
        servers[2].send(signal.SIGCONT)
        await load.spreads_over(ALL, within_s=10)
    assert load.failed["Write"] == []


async def test_all_but_one_are_killed_one_after_the_other(tmp_path: Path) -> None:
    async with loaded(tmp_path) as (servers, load):
        await servers[2].end()
        await load.spreads_over(REST)
        await servers[1].end()
        await load.spreads_over(("0",))
        await asyncio.gather(servers[1].start(), servers[2].start())
        await load.spreads_over(ALL, within_s=10)


def ejections(caplog: pytest.LogCaptureFixture) -> int:
    """The number of times that a server was left out."""
    events = [getattr(one, "gateway_event", "") for one in caplog.records]
    return events.count("gateway.upstream.endpoint_ejected")


@pytest.mark.parametrize("reads", [8, 40])
async def test_one_answers_with_errors(
    tmp_path: Path, reads: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with loaded(tmp_path, load={"reads": reads}) as (servers, load):
        await servers[2].end(signal.SIGTERM)
        servers[2].fails = True
        await servers[2].start()
        # Until it was left out twice: in between, it gets some calls and fails them.
        await until(lambda: ejections(caplog) >= 2, within_s=20)
        await load.more(300)
        await servers[2].end(signal.SIGTERM)
        servers[2].fails = False
        await servers[2].start()
        await load.spreads_over(ALL, within_s=10)
