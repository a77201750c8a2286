"""What the reader knows of a body that is still coming."""

import asyncio

import pytest

from gateway.config.limits import Limits
from gateway.listeners.http1.request_reader import RequestReader
from tests.support.front_end import chunked, get, post
from tests.support.reading import QuietConnection

ITEM = get("/v1/items/a")


def request_reader() -> RequestReader:
    loop = asyncio.get_running_loop()
    return RequestReader(QuietConnection(loop), loop, Limits(), websockets=False)


async def test_a_body_of_known_length_has_so_many_bytes_left() -> None:
    reader = request_reader()
    body = b"\n" * 10_000
    request = post("/v1/items", body)
    assert reader.body_left() == 0, "no body has begun"
    reader.read(request[:-9_000])
    assert reader.body_left() == 9_000
    reader.read(request[-9_000:-1])
    assert reader.body_left() == 1
    reader.read(request[-1:] + ITEM)
    assert reader.body_left() == 0
    assert len(reader.read(ITEM)[0]) == 1
    assert reader.body_left() == 0


@pytest.mark.parametrize("at", [40, 80, 200])
async def test_nothing_is_known_of_a_body_in_chunks(at: int) -> None:
    reader = request_reader()
    request = chunked("/v1/items", *[b"\n" * 100] * 3)
    reader.read(request[:at])
    assert reader.body_left() <= 0


async def test_the_next_body_has_its_own_length() -> None:
    reader = request_reader()
    reader.read(post("/v1/items", bytes(100)) + post("/v1/items", bytes(300))[:-200])
    assert reader.body_left() == 200
    reader.read(bytes(200) + chunked("/v1/items", bytes(100))[:-50])
    assert reader.body_left() <= 0
