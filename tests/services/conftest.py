"""Clients of fresh back ends."""

from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
import pytest

from gen.echo.v1.echo_pb2_grpc import EchoServiceStub
from gen.library.v1.library_pb2_grpc import LibraryServiceStub
from tests.support.servers import echo_server, library_server


@pytest.fixture
async def library() -> AsyncIterator[Any]:
    """A stub of a freshly seeded library."""
    async with library_server() as address, grpc.aio.insecure_channel(address) as channel:
        yield LibraryServiceStub(channel)


@pytest.fixture
async def echo() -> AsyncIterator[Any]:
    """A stub of an echo service."""
    async with echo_server() as address, grpc.aio.insecure_channel(address) as channel:
        yield EchoServiceStub(channel)
