"""Every test of the front end runs on both event loops that can serve it."""

from collections.abc import AsyncIterator

import pytest

from tests.support.front_end import FrontEnd, open_front_end
from tests.support.loops import pytest_asyncio_loop_factories

__all__ = ["front_end", "pytest_asyncio_loop_factories"]


@pytest.fixture
async def front_end() -> AsyncIterator[FrontEnd]:
    """A front end with default settings before an upstream that echoes."""
    async with open_front_end() as front_end:
        yield front_end
