"""Workers that die, hang or leave: clients are answered by the others meanwhile."""

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.integration.process.test_workers import (
    SAMPLE,
    Supervised,
    gone,
    running,
    supervised,
)
from tests.support.polling import until
from tests.support.tls import Files

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
HANG_S = 3
MOST_WAIT_S = 0.25


def settings(place: Path, more: str = "") -> tuple[str, str]:
    """Flags for a gateway that writes its events into a file and soon takes a worker for hung."""
    file = place / "gateway.yaml"
    supervisor = f"supervisor: {{hang_s: {HANG_S}{more}}}"
    file.write_text(f"log: {{events: {place / 'events.log'}}}\n{supervisor}\n")
    return "--config", str(file)


def events(place: Path, name: str) -> list[dict[str, str]]:
    """The events of this name."""
    lines = (place / "events.log").read_text().splitlines()
    return [told for told in map(json.loads, lines) if told["event.name"] == name]


def is_stopped(pid: int) -> bool:
    """True if a signal has stopped the process."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("T")


async def slowest_of(gateway: Supervised, count: int) -> float:
    """Asks on so many new connections, one after another; how long the slowest took, in seconds."""
    slowest_s = 0.0
    for _ in range(count):
        before_s = time.monotonic()
        assert (await gateway.ask())[0] == 200
        slowest_s = max(slowest_s, time.monotonic() - before_s)
    return slowest_s


async def test_nobody_waits_for_the_successor_of_a_worker_that_was_killed(tmp_path: Path) -> None:
    descriptors = Path(shutil.copy(SAMPLE, tmp_path / "api.binpb"))
    async with running(tmp_path, descriptors=descriptors) as gateway:
        await gateway.answering(2)
        shutil.move(descriptors, tmp_path / "away")  # no successor can start
        os.kill(min(gateway.workers), signal.SIGKILL)
        assert await slowest_of(gateway, 40) < 1
        await gateway.until(r"worker \d cannot start")
        assert await slowest_of(gateway, 40) < 1
        shutil.move(tmp_path / "away", descriptors)
        await gateway.answering(2)
        # It answers alone again: the other has ceased to accept for it.
        assert await gateway.end() == 0


async def slowest_around_kill(gateway: Supervised) -> float:
    """Kills a worker under load; returns how long the slowest request after it took, in seconds."""
    asked: list[tuple[float, float]] = []  # when, and for how long
    lost: list[float] = []
    is_over = False

    async def ask() -> None:
        while not is_over:
            at_s = time.monotonic()
            try:
                assert (await gateway.ask())[0] == 200
            except (ConnectionError, AssertionError):
                lost.append(at_s)
            asked.append((at_s, time.monotonic() - at_s))
            await asyncio.sleep(0.02)

    await gateway.answering(2)
    asking = asyncio.gather(*(ask() for _ in range(6)))
    await asyncio.sleep(0.5)
    os.kill(min(gateway.workers), signal.SIGKILL)
    killed_s = time.monotonic()
    await asyncio.sleep(2)
    is_over = True
    await asking
    assert all(at_s <= killed_s for at_s in lost)
    usual_s = max(took_s for at_s, took_s in asked if at_s + took_s < killed_s)
    slowest_s = max(took_s for at_s, took_s in asked if at_s > killed_s)
    print(f"slowest before {usual_s:.3f} s, after {slowest_s:.3f} s; {len(lost)} lost")
    return slowest_s


@pytest.mark.slow
async def test_only_what_a_killed_worker_had_in_hand_is_lost(tmp_path: Path) -> None:
    async with running(tmp_path) as gateway:
        # A busy machine adds to a wait and never takes from it, so one kill of three may show it.
        slowest_s = await slowest_around_kill(gateway)
        for _ in range(2):
            if slowest_s >= MOST_WAIT_S:
                slowest_s = await slowest_around_kill(gateway)
    assert slowest_s < MOST_WAIT_S


async def test_who_comes_while_a_worker_is_frozen_is_answered_before_it_is_replaced(
    tmp_path: Path,
) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text("supervisor: {hang_s: 60}\n")
    async with running(tmp_path, "--config", str(file)) as gateway:
        await gateway.answering(2)
        victim = min(gateway.workers)
        os.kill(victim, signal.SIGSTOP)
        await until(lambda: is_stopped(victim))
        # The kernel puts about half of these connections into its queue.
        answers = await asyncio.gather(*(gateway.ask() for _ in range(40)))
        assert [status for status, _ in answers] == [200] * 40
        assert len({name for _, name in answers}) == 1
        assert is_stopped(victim), "so all were answered before it was replaced"
        assert "did not respond" not in gateway.said


async def test_a_worker_that_hangs_is_helped_out_and_replaced(tmp_path: Path) -> None:
    async with running(tmp_path, *settings(tmp_path)) as gateway:
        before = await gateway.answering(2)
        victim = min(gateway.workers)
        os.kill(victim, signal.SIGSTOP)
        # Connections that wait in its queue are accepted by the other long before it is replaced.
        assert await slowest_of(gateway, 30) < HANG_S - 0.5
        await gateway.until(rf"worker \d did not respond for {HANG_S} s and was ended; another is")
        await gone({victim})
        assert len(await gateway.answering(2) - before) == 1
        assert "most recent call first" in gateway.said
        assert await gateway.end() == 0
    (lost,) = events(tmp_path, "gateway.worker.lost")
    assert re.fullmatch(rf"worker \d did not respond for {HANG_S} s and was ended", lost["body"])
    assert "most recent call first" in lost["gateway.worker.stack"]


@pytest.mark.slow
async def test_one_worker_is_supervised_where_that_is_set(tmp_path: Path) -> None:
    flags = settings(tmp_path, ", always: true")
    async with supervised(tmp_path, *flags, workers=1) as gateway:
        found = await gateway.until(r"serving 8 routes on http://127.0.0.1:(\d+) with 1 worker")
        gateway.port = int(found[1])
        (killed,) = gateway.workers
        os.kill(killed, signal.SIGKILL)
        # The supervisor holds the socket, so whoever comes now waits for the successor.
        assert (await gateway.ask())[0] == 200
        await gateway.until(r"worker 1 was ended by SIGKILL; another is started now")
        (hung,) = gateway.workers - {killed}
        os.kill(hung, signal.SIGSTOP)
        await gateway.until(rf"worker 1 did not respond for {HANG_S} s and was ended")
        await gone({hung})
        assert (await gateway.ask())[0] == 200
        assert await gateway.end() == 0


async def test_connections_over_tls_are_accepted_for_a_worker_that_hangs(tmp_path: Path) -> None:
    files, file = Files(tmp_path), tmp_path / "gateway.yaml"
    file.write_text(
        f"tls: {{cert_file: {files.cert}, key_file: {files.key}}}\nsupervisor: {{hang_s: 60}}\n"
    )
    async with supervised(tmp_path, "--config", str(file), workers=3) as gateway:
        found = await gateway.until(r"serving 8 routes on https://127.0.0.1:(\d+) with 3 workers")
        gateway.port, gateway.tls = int(found[1]), files.context()
        await gateway.answering(3)
        for pid in sorted(gateway.workers)[:2]:
            os.kill(pid, signal.SIGSTOP)
        assert await slowest_of(gateway, 30) < 4


async def test_a_worker_that_was_only_held_up_stays(tmp_path: Path) -> None:
    async with running(tmp_path, *settings(tmp_path)) as gateway:
        await gateway.answering(2)
        workers = gateway.workers
        os.kill(min(workers), signal.SIGSTOP)
        await asyncio.sleep(HANG_S * 0.5)
        os.kill(min(workers), signal.SIGCONT)
        await asyncio.sleep(HANG_S * 0.5)
        assert len(await gateway.answering(2)) == 2
        assert gateway.workers == workers


async def test_workers_outlive_a_supervisor_that_was_held_up(tmp_path: Path) -> None:
    async with running(tmp_path, *settings(tmp_path)) as gateway:
        await gateway.answering(2)
        workers = gateway.workers
        # As when a whole container is frozen, the supervisor waking first.
        for pid in (gateway.process.pid, *workers):
            os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(HANG_S + 1)
        for pid in (gateway.process.pid, *workers):
            os.kill(pid, signal.SIGCONT)
            await asyncio.sleep(0.1)
        assert len(await gateway.answering(2)) == 2
        assert gateway.workers == workers


async def test_nobody_waits_for_a_worker_that_is_told_to_end(tmp_path: Path) -> None:
    async with running(tmp_path) as gateway:
        await gateway.answering(2)
        slow = asyncio.gather(*(gateway.ask("/v1/echo:sleep?duration=2s") for _ in range(12)))
        await asyncio.sleep(0.5)
        os.kill(min(gateway.workers), signal.SIGTERM)
        await asyncio.sleep(0.3)  # what it had accepted already, it closes
        assert await slowest_of(gateway, 30) < 1.5
        assert [status for status, _ in await slow] == [200] * 12
        await gateway.until(r"worker \d ended with 0; another is started now")


@asynccontextmanager
async def starting(place: Path) -> AsyncIterator[Supervised]:
    """A gateway on a known port whose first worker has just been started."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with supervised(place, "--listen", f"127.0.0.1:{port}") as gateway:
        gateway.port = port
        yield gateway


async def first_worker(gateway: Supervised, *, but: Iterable[int] = ()) -> int:
    """The pid of a worker that was just started."""
    async with asyncio.timeout(20):
        while not (found := gateway.workers.difference(but)):
            assert gateway.process.returncode is None, gateway.said
            await asyncio.sleep(0.01)
    return min(found)


async def test_the_port_accepts_nobody_before_somebody_can_answer(tmp_path: Path) -> None:
    async with starting(tmp_path) as gateway:
        refused = 0
        async with asyncio.timeout(30):
            while True:
                try:
                    before_s = time.monotonic()
                    status, _ = await gateway.ask()
                    break
                except ConnectionRefusedError:
                    refused += 1
                    await asyncio.sleep(0.01)
        assert refused
        assert status == 200
        assert time.monotonic() - before_s < 3
        assert await slowest_of(gateway, 20) < 3  # the second worker may be starting still


async def test_two_gateways_that_start_together_do_not_share_a_port(tmp_path: Path) -> None:
    async with starting(tmp_path) as gateway:
        await first_worker(gateway)
        (tmp_path / "other").mkdir()
        listen = f"127.0.0.1:{gateway.port}"
        async with supervised(tmp_path / "other", "--listen", listen) as other:
            async with asyncio.timeout(20):
                assert await other.process.wait() == 1
            assert "the port is taken" in other.said


async def test_a_worker_that_is_killed_while_the_first_starts_is_started_again(
    tmp_path: Path,
) -> None:
    async with starting(tmp_path) as gateway:
        os.kill(await first_worker(gateway), signal.SIGKILL)
        await gateway.until(r"worker 1 was ended by SIGKILL; another is started now")
        await gateway.until(r"serving 8 routes on \S+ with 2 workers")
        assert len(await gateway.answering(2)) == 2
        assert await gateway.end() == 0


async def test_a_gateway_gives_up_when_no_worker_comes_to_serve(tmp_path: Path) -> None:
    async with starting(tmp_path) as gateway:
        killed: set[int] = set()
        for _ in range(5):
            pid = await first_worker(gateway, but=killed)
            killed.add(pid)
            os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(20):
            assert await gateway.process.wait() == 1
        last = gateway.said.splitlines()[-1]
        assert last == (
            "gateway: no worker can start: worker 1 was ended by SIGKILL at the last of 5 starts"
        )
        assert "Traceback" not in gateway.said
