"""A store that cannot be asked says so at once, and serves again when it can."""

from pathlib import Path

import pytest

from gateway.stores.base import StoreUnavailableError, TokenBucket
from gateway.stores.opening import StoreUrlError, make_store, open_store
from tests.contract.stores.test_tokens import token
from tests.support.redis_server import free_port, redis_server


async def test_redis_gone_and_back() -> None:
    port = free_port()
    async with open_store(f"redis://:secret@127.0.0.1:{port}/0") as store:
        with pytest.raises(StoreUnavailableError) as caught:
            await store.find_token(bytes(32))
        assert "secret" not in str(caught.value)
    async with open_store(f"redis://127.0.0.1:{port}/0") as store:
        with redis_server(port):
            await store.ping()
            await store.add_tokens([token("t")])
        with pytest.raises(StoreUnavailableError):
            await store.take("k", TokenBucket(1, 1.0))
        with redis_server(port):
            await store.add_tokens([token("t")])
            assert await store.find_token(token("t").digest) is not None


async def test_a_file_that_cannot_be_opened_and_then_can(tmp_path: Path) -> None:
    folder = tmp_path / "later"
    async with open_store(f"sqlite:///{folder}/gateway.db") as store:
        with pytest.raises(StoreUnavailableError, match=r"gateway\.db"):
            await store.ping()
        folder.mkdir()
        await store.ping()
        await store.add_tokens([token("t")])
        assert await store.find_token(token("t").digest) is not None


async def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    path.write_bytes(b"not a database, however long one looks at it" * 50)
    async with open_store(f"sqlite:///{path}") as store:
        with pytest.raises(StoreUnavailableError):
            await store.ping()


async def test_a_sqlite_file_is_its_owners_alone(tmp_path: Path) -> None:
    async with open_store(f"sqlite:///{tmp_path}/gateway.db") as store:
        await store.ping()
    assert (tmp_path / "gateway.db").stat().st_mode & 0o077 == 0


async def test_what_is_kept_in_sqlite_outlives_the_process(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/gateway.db"
    async with open_store(url) as store:
        await store.add_tokens([token("t")])
    async with open_store(url) as first, open_store(url) as second:
        assert await second.find_token(token("t").digest) is not None
        await first.revoke_family("f1")
        assert await second.find_token(token("t").digest) is None


async def test_no_secret_is_in_the_file(tmp_path: Path) -> None:
    secret = "the-secret-itself"
    async with open_store(f"sqlite:///{tmp_path}/gateway.db") as store:
        await store.add_tokens([token(secret)])
    assert secret.encode() not in _all_bytes(tmp_path)


def _all_bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


@pytest.mark.parametrize(
    "url",
    [
        "",
        "memory",
        "sqlite:",
        "sqlite:///",
        "sqlite://host/db",
        "mysql://u:pw@host/db",
        "http://x",
        "redis://:[pw]@host",
    ],
)
def test_a_url_that_names_no_store_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(StoreUrlError, match="expected memory:") as caught:
        make_store(url)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("redis://:pw@127.0.0.1:port/0", id="a port that is none"),
        pytest.param("redis://:pw/pw@127.0.0.1:6379/0", id="a slash in the password"),
        pytest.param("redis://:pw@127.0.0.1:6379/first", id="a database that is none"),
        pytest.param("redis://:pw@127.0.0.1:6379/0?db=first", id="a database that is none, too"),
        pytest.param("redis://:pw@127.0.0.1:6379/0?nonsense=1", id="an option that is none"),
        pytest.param("redis://:pw@127.0.0.1:6379/0?timeout=soon", id="one that is no number"),
        pytest.param("redis://:pw#pw@127.0.0.1:6379/0", id="a hash in the password"),
        pytest.param("unix:///socket?password=pw&nonsense=1", id="by a socket"),
    ],
)
def test_a_redis_url_that_cannot_be_meant_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(StoreUrlError, match="percent-encoded") as caught:
        make_store(url)
    assert "pw" not in str(caught.value)
    assert caught.value.__context__ is None
