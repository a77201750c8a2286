"""A store finds the Redis that is the master now, whoever answers the connections it has."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from gateway.stores.base import StoreUnavailableError, TokenBucket, TokenKind
from gateway.stores.opening import StoreUrlError, make_store, open_store
from tests.contract.stores.test_keys import key
from tests.contract.stores.test_tokens import token
from tests.support.polling import until
from tests.support.redis_server import free_port, redis_cluster, redis_server, sentinel

LIMIT = TokenBucket(1000, 60.0)


class Address:
    """An address that leads to another server for the connections that come from now on."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.accepted = self.closed = 0

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        parts = urlsplit(self.target)
        other_reader, other_writer = await asyncio.open_connection(parts.hostname, parts.port)
        await asyncio.gather(_copy(reader, other_writer), _copy(other_reader, writer))
        self.closed += 1


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


@asynccontextmanager
async def serving(address: Address) -> AsyncIterator[int]:
    port = free_port()
    server = await asyncio.start_server(address.connect, "127.0.0.1", port)
    try:
        yield port
    finally:
        server.close()
        await until(lambda: address.closed >= address.accepted)


@pytest.fixture
def second_url() -> Iterator[str]:
    with redis_server() as url:
        yield url


async def demote(url: str, master_url: str) -> None:
    master = urlsplit(master_url)
    async with Redis.from_url(url) as redis:
        await redis.replicaof(str(master.hostname), str(master.port))


@pytest.fixture
def first_url() -> Iterator[str]:
    with redis_server() as url:
        yield url


async def test_a_master_that_has_become_a_replica_is_left_at_once(
    first_url: str, second_url: str
) -> None:
    address = Address(first_url)
    async with serving(address) as port, open_store(f"redis://127.0.0.1:{port}/0") as store:
        # Several connections, all to the first.
        await asyncio.gather(*(store.find_token(bytes(32)) for _ in range(5)))
        await store.add_tokens([token("before")])
        await demote(first_url, second_url)
        address.target = second_url
        # No question is lost: neither a token nor one that counts.
        await store.add_tokens([token("t"), token("r", TokenKind.REFRESH)])
        assert (await store.take("k", LIMIT)).remaining == 999
        await asyncio.gather(*(store.add_key(key(f"k{n}", f"k{n}")) for n in range(20)))
        assert await store.find_token(token("t").digest) is not None
        assert len([one async for one in store.list_keys()]) == 20


async def test_an_address_that_still_leads_to_a_replica_is_tried_anew_each_time(
    first_url: str, second_url: str
) -> None:
    async with open_store(first_url) as store:
        await store.add_tokens([token("before")])
        await demote(first_url, second_url)
        for _ in range(3):
            with pytest.raises(StoreUnavailableError, match="ReadOnlyError"):
                await store.add_tokens([token("t")])
        async with Redis.from_url(first_url) as redis:
            await redis.replicaof("NO", "ONE")
        await store.add_tokens([token("t")])
        assert await store.find_token(token("t").digest) is not None


@pytest.mark.parametrize(
    "answer",
    [b"-LOADING in memory", b"-MOVED 1 127.0.0.1:1", b"-READONLY no", b"-MASTERDOWN no"],
)
async def test_each_answer_of_one_that_is_no_master_ends_its_connection(answer: bytes) -> None:
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        pong = answer if connections == 1 else b"+PONG"
        while data := await reader.read(65536):
            answers = [b"+OK"] * data.count(b"SETINFO") + [pong] * data.count(b"PING")
            writer.write(b"".join(one + b"\r\n" for one in answers))
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with open_store(f"redis://127.0.0.1:{port}/0?protocol=2") as store:
        await store.ping()
    server.close()
    await asyncio.sleep(0.05)
    assert connections == 2


async def test_many_questions_at_once_wait_for_a_connection(first_url: str) -> None:
    async with open_store(first_url) as store:
        found = await asyncio.gather(*(store.find_token(bytes(32)) for _ in range(500)))
        assert found == [None] * 500
        async with Redis.from_url(first_url) as redis:
            assert len(await redis.client_list()) <= 52


async def test_behind_sentinel_the_next_master_is_found(
    first_url: str, second_url: str, tmp_path: Path
) -> None:
    await demote(second_url, first_url)
    first_port = urlsplit(first_url).port
    assert first_port is not None
    with sentinel(first_port, tmp_path) as port:
        url = f"redis+sentinel://127.0.0.1:{free_port()},127.0.0.1:{port}/main/0?prefix=s:"
        async with open_store(url) as store:
            await store.add_tokens([token("before")])
            assert await store.find_token(token("before").digest) is not None
            await asyncio.gather(*(store.find_token(bytes(32)) for _ in range(200)))
            await _fail_over(port, first_port)
            await store.add_tokens([token("t")])
            assert await store.find_token(token("t").digest) is not None
            assert (await store.take("k", LIMIT)).remaining == 999
        async with Redis.from_url(second_url) as redis:
            assert await redis.exists(f"s:token:{token('t').digest.hex()}")


async def _fail_over(sentinel_port: int, former: int) -> None:
    async with Redis(port=sentinel_port) as asked, Redis(port=former) as old:
        async with asyncio.timeout(30):
            while not await _begins(asked):  # noqa: ASYNC110 - a process
                await asyncio.sleep(0.2)
            while (await old.info("replication"))["role"] != "slave":  # noqa: ASYNC110
                await asyncio.sleep(0.2)


async def _begins(asked: Redis) -> bool:
    """Asks for a failover; False as long as the sentinel knows no replica that could lead."""
    try:
        await asked.sentinel_failover("main")
    except ResponseError as error:
        if "NOGOODSLAVE" not in str(error):
            raise
        return False
    return True


async def test_a_sentinel_that_knows_no_such_master_is_no_store(
    first_url: str, tmp_path: Path
) -> None:
    with sentinel(urlsplit(first_url).port or 0, tmp_path) as port:
        async with open_store(f"redis+sentinel://127.0.0.1:{port}/other") as store:
            with pytest.raises(StoreUnavailableError, match="redis at 127"):
                await store.ping()


@pytest.fixture(scope="module")
def cluster_ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[int]]:
    with redis_cluster(tmp_path_factory.mktemp("cluster")) as ports:
        yield ports


async def test_a_cluster_keeps_tokens_keys_and_counters(cluster_ports: list[int]) -> None:
    hosts = ",".join(f"127.0.0.1:{port}" for port in cluster_ports)
    for prefix in ("{gateway}:", "a{1}:", "{other}:"):
        async with open_store(f"redis+cluster://{hosts}?prefix={prefix}") as store:
            await store.ping()
            await store.add_tokens([token("a"), token("r", TokenKind.REFRESH)])
            assert await store.find_token(token("a").digest) is not None
            await store.rotate_token(token("r").digest, [token("b")])
            assert len([one async for one in store.list_tokens()]) == 2
            assert await store.revoke_principal("ann") == 2
            assert await store.add_key(key("k"))
            assert await store.find_key(key("k").digest) is not None
            assert len([one async for one in store.list_keys()]) == 1
            taken = await store.take_all([("a", LIMIT, 1), ("b", LIMIT, 2)])
            assert [one.remaining for one in taken] == [999, 998]
            found = await asyncio.gather(*(store.find_token(bytes(32)) for _ in range(300)))
            assert found == [None] * 300


async def test_a_cluster_is_found_by_any_node_that_answers(cluster_ports: list[int]) -> None:
    hosts = f"127.0.0.1:{free_port()},127.0.0.1:{cluster_ports[2]}"
    async with open_store(f"redis+cluster://{hosts}?prefix={{found}}:") as store:
        await store.add_tokens([token("found")])
        assert await store.find_token(token("found").digest) is not None


@pytest.mark.parametrize(
    ("url", "right"),
    [
        ("redis+sentinel://host:26379", "host.*/master"),
        ("redis+sentinel://:pw@host:x/main", "host.*/master"),
        ("redis+sentinel://:pw@host/main/first", "host.*/master"),
        ("redis+sentinel://:pw@host/main?nonsense=1", "options the driver supports"),
        ("redis+sentinel://:pw@/main", "host.*/master"),
        ("redis+sentinel://:p/w@host/main", "percent-encoded"),
        ("redis+cluster://:pw@host:7000,host:x", "percent-encoded"),
        ("redis+cluster://:pw@host/1", "percent-encoded"),
        ("redis+cluster://:pw@host?nonsense=1", "options the driver supports"),
        ("redis+cluster://:pw@host?prefix=name:", "braces"),
        ("redis+other://:pw@host", "expected memory:"),
    ],
)
def test_a_url_of_several_hosts_that_cannot_be_meant_is_refused(url: str, right: str) -> None:
    with pytest.raises(StoreUrlError, match=right) as caught:
        make_store(url)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://ann:p%40w@a,b:26380,[::1]:26381/main/2?sentinel_password=s&prefix=x:",
        "rediss+sentinel://a/main",
        "redis+cluster://ann:p%40w@a:7000,b:7001/0?socket_timeout=2",
        "rediss+cluster://a:7000?prefix={x}:",
    ],
)
async def test_a_url_of_several_hosts_is_taken(url: str) -> None:
    store = make_store(url)
    assert "a" in repr(store)
    assert "p" not in repr(store).removeprefix("<RedisStore")
    await store.close()
