"""TLS is asyncio's affair, and uvloop has one of its own: every test runs on both."""

from pathlib import Path

import pytest

from tests.support.loops import pytest_asyncio_loop_factories
from tests.support.tls import Files

__all__ = ["files", "pytest_asyncio_loop_factories"]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """A certificate authority, and a gateway's certificate and key in files."""
    return Files(tmp_path)
