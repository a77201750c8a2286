"""Every store there is, each fresh for its test: fixtures for a conftest to import."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.machine_code import alternatives
from tests.support.postgres_server import postgres_cluster, postgres_server
from tests.support.redis_server import redis_server

_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    with redis_server() as url:
        yield url


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    with postgres_cluster() as data, postgres_server(data) as (url, _):
        yield url


@pytest.fixture(params=alternatives("memory", "sqlite", "redis", "postgres"))
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "memory":
        return "memory:"
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/gateway.db"
    if request.param == "postgres":
        return f"{request.getfixturevalue('postgres_url')}?prefix=test{next(_NUMBERS)}_"
    return f"{request.getfixturevalue('redis_url')}?prefix=test{next(_NUMBERS)}:"
