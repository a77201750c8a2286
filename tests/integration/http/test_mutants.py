"""Requests with a few bytes changed: whatever they become, nothing breaks, hangs or is left."""

import asyncio
import logging
import random

import pytest

from tests.support.front_end import Client, FrontEnd, chunked, get, open_front_end, post

WHOLE = [
    get("/v1/items/a?text=b", "Accept: */*", "Grpc-Timeout: 1S", "X-Bin: AQI="),
    get("http://a/v1/items/a", "Connection: Upgrade", "Upgrade: websocket"),
    post("/v1/items", b'{"text":"b"}', "Content-Type: application/json"),
    post("/v1/items", b'{"text":"b"}', "Expect: 100-continue"),
    chunked("/v1/items", b'{"text"', b':"b"}'),
    get("/v1/items/a") + get("/v1/items/b"),
]
BYTES = b"\x00\r\n\t :;,#?%/*0aZ\x7f\x80\xff"


def mutant(seed: int) -> bytes:
    chance = random.Random(seed)
    data = bytearray(chance.choice(WHOLE))
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data))
        match chance.randrange(4):
            case 0:
                data[at] = chance.choice(BYTES)
            case 1:
                data.insert(at, chance.choice(BYTES))
            case 2:
                del data[at]
            case _:
                data[at:at] = data[at : at + chance.randint(1, 40)]
    return bytes(data)


async def statuses(front_end: FrontEnd, seed: int) -> list[int]:
    """The answers to a mutant that comes in two pieces, until the front end closes or waits."""
    data = mutant(seed)
    middle = seed % len(data)
    found: list[int] = []
    async with front_end.connected() as client:
        await client.send(data[:middle])
        await asyncio.sleep(0)
        await client.send(data[middle:])
        while (status := await _status(client)) is not None:
            found.append(status)
    return found


async def _status(client: Client) -> int | None:
    try:
        return (await client.answer(within_s=5.0)).status
    except (TimeoutError, ConnectionError, asyncio.IncompleteReadError):
        return None


@pytest.mark.parametrize("batch", range(3))
async def test_no_mutant_breaks_the_front_end(batch: int, caplog: pytest.LogCaptureFixture) -> None:
    seeds = range(batch * 200, batch * 200 + 200)
    with caplog.at_level(logging.WARNING):
        async with open_front_end(limits={"header_timeout_s": 1.0, "body_timeout_s": 1.0}) as open_:
            found = await asyncio.gather(*(statuses(open_, seed) for seed in seeds))
            assert (await open_.ask(get("/v1/items/a"))).status == 200
        assert not open_.listener.port.connections
    told = {status for answers in found for status in answers}
    assert told <= {100, 200, 400, 404, 405, 406, 408, 415, 417, 501, 504, 505}
    assert {200, 400} <= told
    assert caplog.records == []
