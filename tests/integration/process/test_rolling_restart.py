"""Three gateways behind HAProxy, with the settings of `deploy/haproxy`: restarts and deaths."""

import asyncio
import signal
import sys
import time
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from tests.integration.process.test_drain import Served, served
from tests.support.balancer import haproxy, settings_for
from tests.support.http import RawClient
from tests.support.polling import until
from tests.support.redis_server import free_port

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="needs SO_REUSEPORT balancing"),
]

DELAY_S = 1.2
"""`drain.delay_s`: three times as long as HAProxy takes to see that a node drains."""
CHECKS = "check inter 200ms fall 2 rise 2"
"""More often than in `deploy/haproxy`, so that the test is shorter."""
_REQUESTS_OF_A_CONNECTION = 25
_PAUSE_S = 0.02


class Clients:
    """Requests without a pause to the load balancer, on connections that are kept for a while."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.answered = 0
        self.failed: Counter[str] = Counter()
        self.slowest_s = 0.0
        self._last: deque[str] = deque(maxlen=60)

    async def run(self) -> None:
        """Asks again and again."""
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            except OSError as error:
                self.failed[f"connecting: {error!r}"] += 1
                continue
            client = RawClient(reader, writer)
            try:
                for _ in range(_REQUESTS_OF_A_CONNECTION):
                    await self._ask(client)
                    await asyncio.sleep(_PAUSE_S)
            except (OSError, EOFError, TimeoutError) as error:
                self.failed[repr(error)] += 1
            finally:
                writer.close()

    async def _ask(self, client: RawClient) -> None:
        before_s = time.monotonic()
        answer = await client.get("/v1/echo/hello")
        self.slowest_s = max(self.slowest_s, time.monotonic() - before_s)
        if answer.status == 200:
            self.answered += 1
            self._last.append((answer.header("X-Request-Id") or "").rpartition("-")[0])
        else:
            self.failed[f"{answer.status} {answer.body[:200]!r}"] += 1

    async def more(self, count: int) -> None:
        """Waits for so many more answers."""
        goal = self.answered + count
        await until(lambda: self.answered >= goal, within_s=30)

    async def spread_over(self, nodes: int) -> None:
        """Waits until so many nodes have given the last answers."""
        self._last.clear()
        await until(lambda: len(self._last) == 60 and len(set(self._last)) == nodes, within_s=30)


@asynccontextmanager
async def asking(port: int, count: int = 8) -> AsyncIterator[Clients]:
    """So many clients at once, until the end of the block."""
    clients = Clients(port)
    tasks = [asyncio.create_task(clients.run()) for _ in range(count)]
    try:
        yield clients
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Nodes:
    """Gateways at ports that stay the same over restarts."""

    def __init__(self, place: Path, delay_s: float) -> None:
        self._place = place
        self._delay_s = delay_s
        self._started = 0
        self._stack: dict[int, AsyncExitStack] = {}
        self.ports = [free_port() for _ in range(3)]
        self.running: dict[int, Served] = {}

    async def start(self, port: int) -> None:
        """Starts one; it is ready when this returns."""
        self._started += 1
        place = self._place / str(self._started)
        place.mkdir()
        stack = self._stack[port] = AsyncExitStack()
        self.running[port] = await stack.enter_async_context(
            served(
                *(place, 1, "--listen", f"127.0.0.1:{port}"),
                settings={"HEALTH__PATH": "/healthz"},
                delay_s=self._delay_s,
                idle_s=1,
            )
        )

    async def restart(self, port: int) -> int:
        """Drains one and starts its successor; returns the exit code."""
        self.running[port].process.send_signal(signal.SIGTERM)
        code = await self.running[port].ended()
        await self._stack[port].aclose()
        await self.start(port)
        return code

    async def close(self) -> None:
        """Ends all."""
        for stack in self._stack.values():
            await stack.aclose()


@asynccontextmanager
async def balanced(
    place: Path, delay_s: float = DELAY_S, **changes: str
) -> AsyncIterator[tuple[Nodes, Clients]]:
    """Three nodes under load, once each has answered."""
    nodes, port = Nodes(place, delay_s), free_port()
    try:
        await asyncio.gather(*map(nodes.start, nodes.ports))
        settings = settings_for(port, nodes.ports, default_server=CHECKS, **changes)
        async with haproxy(place, settings, port), asking(port) as clients:
            await clients.spread_over(3)
            yield nodes, clients
    finally:
        await nodes.close()


async def test_a_rolling_restart_fails_no_request(tmp_path: Path) -> None:
    # Without repeats, so that the drain alone must keep every request.
    async with balanced(tmp_path, retry_on="none", retries="0") as (nodes, clients):
        for port in nodes.ports:
            assert await nodes.restart(port) == 0
            # The load balancer must know the new one before the next leaves.
            await clients.spread_over(3)
        assert not clients.failed
        print(f"{clients.answered} answered, the slowest after {clients.slowest_s:.3f} s")


async def test_a_node_that_dies_fails_no_request_that_may_be_repeated(tmp_path: Path) -> None:
    async with balanced(tmp_path) as (nodes, clients):
        dead = nodes.running[nodes.ports[0]]
        dead.process.kill()
        await dead.process.wait()
        await clients.more(500)
        await clients.spread_over(2)
        await nodes.start(nodes.ports[0])
        await clients.spread_over(3)
        assert not clients.failed
        print(f"{clients.answered} answered, the slowest after {clients.slowest_s:.3f} s")
