"""TLS is asyncio's affair, and uvloop has one of its own: every test runs on both."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import uvloop

from tests.support.tls import Files


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The standard library's loop, and uvloop."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """A certificate authority, and a gateway's certificate and key in files."""
    return Files(tmp_path)
