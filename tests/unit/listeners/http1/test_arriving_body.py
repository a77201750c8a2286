"""The body of a plain head does what aiohttp's stream does: the rows are run with both."""

import asyncio
from collections.abc import Callable

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.streams import StreamReader

from gateway.listeners.http1.arriving_body import LOW_WATER_BYTES, ArrivingBody, BodySource
from gateway.listeners.http1.body import BrokenBodyError


class Connection(BaseProtocol):
    """Notes what a body asks of its connection."""

    connected = True

    def __init__(self) -> None:
        super().__init__(asyncio.get_running_loop())
        self.asked: list[str] = []

    def pause_reading(self) -> None:
        """The body is full."""
        self.asked.append("pause")

    def resume_reading(self, resume_parser: bool = True) -> None:
        """The body has room again."""
        self.asked.append(f"resume, {resume_parser}")


Make = Callable[[Connection], BodySource]
ROWS = pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda c: ArrivingBody(c, asyncio.get_running_loop()), id="own"),
        pytest.param(
            lambda c: StreamReader(c, LOW_WATER_BYTES, loop=asyncio.get_running_loop()),
            id="aiohttp",
        ),
    ],
)


@ROWS
async def test_it_is_full_above_twice_the_mark_until_it_is_read(make: Make) -> None:
    connection = Connection()
    body = make(connection)
    body.feed_data(bytes(LOW_WATER_BYTES))
    body.feed_data(b"")
    body.feed_data(bytes(LOW_WATER_BYTES))
    assert not connection.asked
    body.feed_data(b"1")
    assert connection.asked == ["pause"]
    assert len(body.read_nowait()) == 2 * LOW_WATER_BYTES + 1
    assert connection.asked[-1] == "resume, True"
    assert body.total_bytes == 2 * LOW_WATER_BYTES + 1
    assert not body.read_nowait()


@ROWS
async def test_a_read_waits_for_bytes_or_the_end(make: Make) -> None:
    connection = Connection()
    body = make(connection)
    read = asyncio.ensure_future(body.readany())
    await asyncio.sleep(0)
    body.feed_data(b"1")
    body.feed_data(b"2")
    assert await read == b"12"
    read = asyncio.ensure_future(body.readany())
    await asyncio.sleep(0)
    assert not body.is_eof()
    body.feed_eof()
    assert await read == b""
    assert body.is_eof()
    assert connection.asked[-1] == "resume, False"


@ROWS
async def test_a_piece_that_is_alone_is_not_copied(make: Make) -> None:
    body, piece = make(Connection()), bytes(10)
    body.feed_data(piece)
    assert await body.readany() is piece


@ROWS
async def test_a_failure_ends_every_read(make: Make) -> None:
    body = make(Connection())
    read = asyncio.ensure_future(body.readany())
    await asyncio.sleep(0)
    body.set_exception(BrokenBodyError())
    with pytest.raises(BrokenBodyError):
        await read
    body.feed_data(b"1")
    with pytest.raises(BrokenBodyError):
        await body.readany()
    with pytest.raises(BrokenBodyError):
        body.read_nowait()


@ROWS
async def test_a_failure_after_bytes_leaves_them_to_the_read_that_waits(make: Make) -> None:
    body = make(Connection())
    read = asyncio.ensure_future(body.readany())
    await asyncio.sleep(0)
    body.feed_data(b"1")
    body.set_exception(BrokenBodyError())
    assert await read == b"1"


@ROWS
async def test_a_cancelled_read_loses_nothing(make: Make) -> None:
    body = make(Connection())
    read = asyncio.ensure_future(body.readany())
    await asyncio.sleep(0)
    read.cancel()
    body.feed_data(b"1")
    with pytest.raises(asyncio.CancelledError):
        await read
    assert await body.readany() == b"1"


@ROWS
async def test_nothing_is_awaited_of_a_lost_connection(make: Make) -> None:
    connection = Connection()
    connection.connected = False
    with pytest.raises(RuntimeError):
        await make(connection).readany()


async def test_a_body_that_is_read_whole_is_full_only_above_what_its_reader_takes() -> None:
    connection, pieces = Connection(), [bytes(2 * LOW_WATER_BYTES + 1) for _ in range(3)]
    body = ArrivingBody(connection, asyncio.get_running_loop())
    body.feed_data(pieces[0])
    assert connection.asked == ["pause"]
    read = asyncio.ensure_future(body.readall(len(pieces[0]) * 3))
    await asyncio.sleep(0)
    assert connection.asked == ["pause", "resume, True"]
    body.feed_data(pieces[1])
    body.feed_data(pieces[2])
    await asyncio.sleep(0)
    assert not read.done()
    body.feed_eof()
    assert all(one is piece for one, piece in zip(await read, pieces, strict=True))
    assert "pause" not in connection.asked[1:]
    assert await body.readall(1) == []


async def test_a_body_that_is_too_large_to_be_read_whole_is_given_up_before_its_end() -> None:
    connection = Connection()
    body = ArrivingBody(connection, asyncio.get_running_loop())
    read = asyncio.ensure_future(body.readall(2 * LOW_WATER_BYTES))
    await asyncio.sleep(0)
    body.feed_data(bytes(2 * LOW_WATER_BYTES))
    await asyncio.sleep(0)
    assert not read.done()
    body.feed_data(b"1")
    assert connection.asked[-1] == "pause"
    assert sum(map(len, await read)) == 2 * LOW_WATER_BYTES + 1


async def test_a_failure_ends_the_read_of_a_whole_body() -> None:
    body = ArrivingBody(Connection(), asyncio.get_running_loop())
    read = asyncio.ensure_future(body.readall(10))
    await asyncio.sleep(0)
    body.feed_data(b"1")
    body.set_exception(BrokenBodyError())
    with pytest.raises(BrokenBodyError):
        await read
    with pytest.raises(BrokenBodyError):
        await body.readall(10)
