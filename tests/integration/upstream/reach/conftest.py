"""Reaching a back end, on both event loops that can serve: they open connections differently."""

from tests.support.loops import pytest_asyncio_loop_factories

__all__ = ["pytest_asyncio_loop_factories"]
