"""The way of a request through the code: a reader who follows it meets few modules and functions.

Counted on a real gateway with its default settings, as Python: each call of a function of the
package is noted, but not those that timers make beside the request.
"""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import pytest
from aiohttp import ClientSession

from gateway import Config, open_gateway
from services import library
from services.serving import serve
from tests.support.polling import still

PACKAGE = f"{Path(__file__).parents[2] / 'gateway'}/"
OF_TIMERS = ("weep", "http_date", "renewed", "is_forsaken", "is_lingering", "_is_serving")
MOST_JOURNEYS = 20
QUIET_S = 0.05


class Journey(NamedTuple):
    """The figures of one request; all are to be at most those that are wanted."""

    modules: int
    functions: int
    returns: int
    """How often the way comes back to a module that it has left."""


class Trace:
    """Notes the calls of functions of the package, in order."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []

    def note(self, frame: FrameType, event: str, _: object) -> None:
        """Receives what `sys.setprofile` reports."""
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(PACKAGE):
            name = code.co_qualname
            if not (name.endswith(OF_TIMERS) or name.startswith("Listener.")):
                self.calls.append((code.co_filename, name))

    async def of(self, request: Callable[[], Awaitable[object]]) -> Journey:
        """Follows a request until nothing happens any more."""
        self.calls.clear()
        sys.setprofile(self.note)
        try:
            await request()
            await still(lambda: len(self.calls), for_s=QUIET_S)
        finally:
            sys.setprofile(None)
        return self._journey()

    def _journey(self) -> Journey:
        stays = [self.calls[0][0]]
        stays += [
            here for (before, _), (here, _) in zip(self.calls, self.calls[1:], strict=False)
            if here != before
        ]  # fmt: skip
        modules = set(stays)
        return Journey(len(modules), len(set(self.calls)), len(stays) - len(modules))


@asynccontextmanager
async def library_client() -> AsyncIterator[ClientSession]:
    """A client of a gateway before the library, which checks credentials and writes a log."""
    async with serve(library.register) as address:
        settings: dict[str, Any] = {
            "listen": "127.0.0.1:0",
            "modules": ["gen.library.v1"],
            "upstreams": {"library": {"target": address}},
            "log": {"access": "/dev/null"},
            "auth": {"store": "memory:"},
            "policies": [{"selector": "*", "anonymous": True}],
        }
        async with (
            open_gateway(Config.model_validate(settings)) as gateway,
            ClientSession(gateway.url) as client,
        ):
            yield client


async def assert_short(request: Callable[[], Awaitable[object]], wanted: Journey) -> None:
    """Checks that a journey, after the first two, is as short as wanted in all three figures.

    One of several is enough: a timer lengthens one now and then, on a busy machine most.
    """
    trace = Trace()
    for _ in range(2):
        await request()
    found = []
    for _ in range(MOST_JOURNEYS):
        found.append(await trace.of(request))
        if all(one <= most for one, most in zip(found[-1], wanted, strict=True)):
            return
    pytest.fail(f"{min(found, key=lambda one: one.functions)}, but at most {wanted}")


async def test_a_small_get_has_a_short_way() -> None:
    async with library_client() as client:

        async def get() -> None:
            async with client.get("/v1/shelves/fiction") as response:
                assert response.status == 200
                await response.read()

        await assert_short(get, Journey(34, 105, 45))


async def test_a_websocket_has_a_short_way() -> None:
    async with library_client() as client:

        async def discuss() -> None:
            async with client.ws_connect("/v1/shelves/fiction/books/solaris:discuss") as socket:
                await socket.send_str('{"text": "hi"}')
                assert "hi" in (await socket.receive_str())
                await socket.send_str("")  # no more messages
                assert (await socket.receive()).type.name == "TEXT"

        await assert_short(discuss, Journey(48, 190, 158))
