"""Every test of the front end runs on both event loops that can serve it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import uvloop

from tests.support.front_end import FrontEnd, open_front_end


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The standard library's loop, and uvloop."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
async def front_end() -> AsyncIterator[FrontEnd]:
    """A front end with default settings before an upstream that echoes."""
    async with open_front_end() as front_end:
        yield front_end
