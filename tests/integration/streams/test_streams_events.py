"""Server-sent events as the WHATWG has them: numbers that go on, a retry, signs of life."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.support.http import RawClient
from tests.support.streaming import EVENTS, NDJSON, Stage, Talk, open_stage

SETTINGS = {"head_after_s": 0.1, "heartbeat_s": 0.3, "retry_s": 1.5}


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with open_stage(streams=SETTINGS, limits={"header_timeout_s": 0.4}) as opened:
        yield opened


@pytest.fixture
async def client(stage: Stage) -> AsyncIterator[RawClient]:
    async with stage.connected() as opened:
        yield opened


def numbers(body: bytes) -> list[int]:
    return [int(line[4:]) for line in body.splitlines() if line.startswith(b"id: ")]


async def test_events_are_numbered_and_begin_with_the_time_to_wait(client: RawClient) -> None:
    answer = await client.get("/v1/t/down", f"Accept: {EVENTS}")
    assert answer.body.startswith(b"retry: 1500\n\n")
    assert numbers(answer.body) == [1, 2, 3]


@pytest.mark.parametrize(
    ("last", "first"), [("41", 42), ("0", 1), ("x", 1), ("-5", 1), ("9" * 30, 1), ("", 1)]
)
async def test_numbers_go_on_where_a_client_was_cut_off(
    stage: Stage, client: RawClient, last: str, first: int
) -> None:
    answer = await client.get("/v1/t/down", f"Accept: {EVENTS}", f"Last-Event-ID: {last}")
    assert numbers(answer.body) == [first, first + 1, first + 2]
    assert stage.backend.metadata[-1].get("last-event-id", "") == last


async def test_a_silent_stream_shows_that_it_lives(client: RawClient) -> None:
    talk = Talk(client, NDJSON, EVENTS)
    await talk.begin("GET", "/v1/quiet/down")
    await talk.head()
    assert await talk.next_chunk() == b"retry: 1500\n\n"
    started_s = asyncio.get_running_loop().time()
    assert await talk.next_chunk() == b":\n\n"
    assert await talk.next_chunk() == b":\n\n"
    assert 0.5 < asyncio.get_running_loop().time() - started_s < 3


async def test_other_formats_have_no_sign_of_life(client: RawClient) -> None:
    talk = Talk(client, NDJSON, NDJSON)
    await talk.begin("GET", "/v1/quiet/down")
    await talk.head()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(talk.next_chunk(), 1.0)
