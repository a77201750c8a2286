"""Workers that are killed at random times while requests with idempotency keys are under way.

`TESTS_KILLS=1000` makes it long: the default has 10 kills, each of which takes some seconds.
"""

import asyncio
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import yaml

from tests.support.counting_backend import FILES, CountingBackend, counting_server
from tests.support.redis_server import free_port

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="needs /proc"),
    pytest.mark.slow,
    pytest.mark.timeout(60 + 30 * int(os.environ.get("TESTS_KILLS", "10"))),
]
KILLS = int(os.environ.get("TESTS_KILLS", "10"))
AT_ONCE = 4
LEASE_S = 0.5
WORK_S = 0.02
FREE_WITHIN_S = 30.0
ROOT = Path(__file__).parents[3]


class Gateway:
    """A gateway with two workers in processes of their own."""

    def __init__(self, url: str, supervisor: int) -> None:
        self.url = url
        self.supervisor = supervisor

    def workers(self) -> list[int]:
        """The processes of its workers."""
        told = Path(f"/proc/{self.supervisor}/task/{self.supervisor}/children").read_text()
        return [
            pid
            for pid in map(int, told.split())
            if b"resource_tracker" not in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]

    async def post(self, key: str) -> tuple[int, str]:
        """The status and body of a request; status 0 if its connection was lost."""
        connections = aiohttp.TCPConnector(force_close=True)
        try:
            async with (
                aiohttp.ClientSession(connector=connections) as client,
                client.post(
                    f"{self.url}/v1/items/a:archive", json={}, headers={"Idempotency-Key": key}
                ) as response,
            ):
                return response.status, await response.text()
        except aiohttp.ClientError:
            return 0, ""


@asynccontextmanager
async def two_workers(place: Path, target: str, store: str) -> AsyncIterator[Gateway]:
    """The gateway, which takes keys for all methods and keeps them in `store`."""
    port = free_port()
    (place / "api.binpb").write_bytes(FILES.SerializeToString())
    keys = {"key": "required", "allow_anonymous": True, "lease_s": LEASE_S}
    settings = {
        "listen": f"127.0.0.1:{port}",
        "workers": 2,
        "descriptors": [str(place / "api.binpb")],
        "upstreams": {"shop": {"target": target}},
        "idempotency": {"store": store},
        "store": {"timeout_s": 5.0},
        "policies": [{"selector": "shop.v1.Shop.ArchiveItem", "idempotency": keys}],
        "log": {"access": "off"},
    }
    (place / "gateway.yaml").write_text(yaml.safe_dump(settings))
    command = [sys.executable, "-m", "gateway", "serve", "--config", str(place / "gateway.yaml")]
    with (place / "said").open("wb") as said:
        process = await asyncio.create_subprocess_exec(
            *command, stderr=said, stdout=said, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}
        )
    gateway = Gateway(f"http://127.0.0.1:{port}", process.pid)
    try:
        async with asyncio.timeout(60):
            while (await gateway.post("start"))[0] != 200:  # noqa: ASYNC110 - it tells by answers
                await asyncio.sleep(0.1)
        yield gateway
    finally:
        process.terminate()
        await process.wait()


async def settled(gateway: Gateway, key: str) -> tuple[int, str]:
    """Repeats a request until the gateway knows what became of it; returns the last answer."""
    async with asyncio.timeout(FREE_WITHIN_S):
        while True:
            status, body = await gateway.post(key)
            if status == 200 or "IDEMPOTENCY_OUTCOME_UNKNOWN" in body:
                return status, body
            assert status in (0, 409, 503), body
            await asyncio.sleep(0.1)


def times_done(backend: CountingBackend) -> Counter[str]:
    return Counter(str(told["idempotency-key"]) for told in backend.seen)


async def test_no_request_is_done_twice_whenever_workers_are_killed(
    tmp_path: Path, redis_url: str
) -> None:
    chance, results = random.Random(1), Counter[int]()
    slowest_s = 0.0
    async with (
        counting_server() as backend,
        two_workers(tmp_path, backend.target, f"{redis_url}?prefix=kills:") as gateway,
    ):
        backend.work_s = WORK_S
        for number in range(KILLS):
            keys = [f"{number}-{one}" for one in range(AT_ONCE)]
            asked = [asyncio.create_task(gateway.post(key)) for key in keys]
            await asyncio.sleep(chance.uniform(0, 2 * WORK_S))
            os.kill(chance.choice(gateway.workers()), signal.SIGKILL)
            before_s = time.monotonic()
            await asyncio.gather(*asked)
            answers = await asyncio.gather(*[settled(gateway, key) for key in keys])
            slowest_s = max(slowest_s, time.monotonic() - before_s)
            results.update(status for status, _ in answers)
    done = times_done(backend)
    assert max(done.values()) == 1
    assert results.total() == KILLS * AT_ONCE
    assert results[200]
    print(f"{KILLS} kills: {dict(results)}, a key was free after {slowest_s:.1f} s at most")
