"""Two nodes that share a Redis, one of which the network cuts off for a while."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

from tests.integration.tokens.conftest import Open
from tests.support.polling import first
from tests.support.redis_server import redis_server


class Link:
    """A network between a node and Redis; while it is cut, bytes are held and none is refused."""

    def __init__(self, target: str) -> None:
        self._target = urlsplit(target)
        self.passes = asyncio.Event()
        self.passes.set()
        self._connections: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        try:
            yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
        finally:
            server.close()
            for task in self._connections:
                task.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection(self._target.hostname, self._target.port)
        for source, sink in ((reader, there[1]), (there[0], writer)):
            self._connections.add(asyncio.create_task(self._copy(source, sink)))

    async def _copy(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError):
                while data := await source.read(65536):
                    await self.passes.wait()
                    sink.write(data)
                    await sink.drain()
        finally:
            sink.close()


async def test_a_node_that_was_cut_off_lets_no_revoked_token_live(open_gateways: Open) -> None:
    with redis_server() as url:
        link = Link(url)
        async with link.open() as cut_url:
            near, far = await open_gateways(url), await open_gateways(cut_url)
            token, other = [(await near.issue())["access_token"] for _ in range(2)]
            assert (await far.call(token)).status == 200
            link.passes.clear()
            revoked = await near.post("/oauth2/revoke", token=token)
            assert revoked.status == 200
            # No message tells the far node; it forgets what it knew, and then admits nobody.
            await first(lambda: far.call(token), lambda one: one.status == 503)
            for _ in range(20):
                assert (await far.call(token)).status == 503
            link.passes.set()
            statuses: list[int] = []

            async def status() -> int:
                statuses.append((await far.call(token)).status)
                return statuses[-1]

            assert await first(status, lambda one: one != 503) == 401
            assert 200 not in statuses
            assert (await far.call(other)).status == 200
