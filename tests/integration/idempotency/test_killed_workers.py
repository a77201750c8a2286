"""Workers that are killed at random times while requests with idempotency keys are under way.

`TESTS_KILLS=1000` makes it long: the default has 48 kills of forked workers, and 3 of a gateway's
own, each of which takes some seconds to be replaced.
"""

import asyncio
import os
import random
import signal
import sys
import time
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.support.counting_backend import counting_server
from tests.support.keyed_gateway import FORKED, KeyedGateway, keyed_gateway

KILLS = int(os.environ.get("TESTS_KILLS", "48"))
pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="needs /proc"),
    pytest.mark.slow,
    pytest.mark.timeout(120 + 2 * KILLS),
]
GATEWAYS = 4
AT_ONCE = 6
KEYS = {"lease_s": 0.5}
WORK_S = 0.02
FREE_WITHIN_S = 30.0
MOST_SETTLING = 40
"""The number of keys whose outcome is asked for at once."""


class Trial:
    """Requests with keys, each of which is sent again until the gateway knows its outcome."""

    def __init__(self, gateway: KeyedGateway, number: int) -> None:
        self.results = Counter[int]()
        self.lost = 0
        """The number of requests whose connection was lost."""
        self.slowest_s = 0.0
        """The longest time from a lost connection to a known outcome."""
        self._gateway = gateway
        self._number = number
        self._settling: set[asyncio.Task[None]] = set()

    async def run(self, kills: int) -> None:
        """Kills a worker at a random time during each few requests, and awaits all outcomes."""
        chance = random.Random(self._number)
        for number in range(kills):
            keys = [f"{self._number}-{number}-{one}" for one in range(AT_ONCE)]
            asked = [asyncio.create_task(self._gateway.post(key)) for key in keys]
            # On a busy machine, a request takes much longer than its work.
            await asyncio.sleep(chance.uniform(0, 2 * WORK_S) * chance.choice((1, 4)))
            os.kill(chance.choice(self._gateway.workers()), signal.SIGKILL)
            killed_s = time.monotonic()
            for key, (status, _) in zip(keys, await asyncio.gather(*asked), strict=True):
                await self._begin(key, killed_s if status == 0 else None)
        await asyncio.gather(*self._settling)

    async def _begin(self, key: str, killed_s: float | None) -> None:
        if len(self._settling) >= MOST_SETTLING:
            await asyncio.wait(self._settling, return_when=asyncio.FIRST_COMPLETED)
        task = asyncio.create_task(self._settle(key, killed_s))
        self._settling.add(task)
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is None:
            self._settling.discard(task)

    async def _settle(self, key: str, killed_s: float | None) -> None:
        """Sends a request again, from two clients at once, until both know the outcome."""
        answers = await asyncio.gather(self._settled(key), self._settled(key))
        # A worker that was slower than its lease may tell the outcome between the two answers.
        assert len({text for status, text in answers if status == 200}) <= 1, answers
        self.results[min(status for status, _ in answers)] += 1
        if killed_s is not None:
            self.lost += 1
            self.slowest_s = max(self.slowest_s, time.monotonic() - killed_s)

    async def _settled(self, key: str) -> tuple[int, str]:
        """The status, and the text of a success."""
        async with asyncio.timeout(FREE_WITHIN_S):
            while True:
                status, body = await self._gateway.post(key)
                if status == 200:
                    return status, body
                if "IDEMPOTENCY_OUTCOME_UNKNOWN" in body:
                    return status, ""
                assert status in (0, 409, 503), body
                await asyncio.sleep(0.1)


async def test_no_request_is_done_twice_whenever_workers_are_killed(
    tmp_path: Path, redis_url: str
) -> None:
    await kill_workers(KILLS // GATEWAYS, GATEWAYS, tmp_path, redis_url, *FORKED, "2")


async def test_no_request_is_done_twice_if_workers_of_a_supervisor_are_killed(
    tmp_path: Path, redis_url: str
) -> None:
    command = ("gateway", "serve", "--config", "gateway.yaml")
    await kill_workers(3, 1, tmp_path, redis_url, *command, workers=2)


async def kill_workers(
    kills: int, gateways: int, place: Path, redis_url: str, *command: str, **settings: object
) -> None:
    """Kills workers of the gateways that a command starts, and prints the figures."""
    store = f"{redis_url}?prefix={place.name}:"
    async with counting_server() as backend, AsyncExitStack() as stack:
        trials = []
        for number in range(gateways):
            own = place / str(number)
            own.mkdir()
            opened = keyed_gateway(own, backend.target, store, *command, rule=KEYS, **settings)
            trials.append(Trial(await stack.enter_async_context(opened), number))
        backend.work_s = WORK_S
        ended = await asyncio.gather(*[one.run(kills) for one in trials], return_exceptions=True)
    done = Counter(str(told["idempotency-key"]) for told in backend.seen)
    results = sum((one.results for one in trials), Counter[int]())
    print(
        f"{kills * gateways} kills, {results.total()} keys, {sum(one.lost for one in trials)} of "
        f"them lost their worker; outcomes {dict(results)}; {len(done)} calls of different keys, "
        f"{sum(1 for times in done.values() if times > 1)} done twice; a key was free after "
        f"{max(one.slowest_s for one in trials):.1f} s at most"
    )
    assert max(done.values()) == 1, done.most_common(5)
    assert ended == [None] * gateways
    assert results.total() == kills * gateways * AT_ONCE
    assert results[200]
