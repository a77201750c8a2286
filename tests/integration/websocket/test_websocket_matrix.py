"""Every kind of stream over WebSocket, in both its codecs, and every way in which it can end.

Each row asserts what the client saw, that the call ended once and with which code, and that neither
a task nor a stream nor a socket is left of it, on both channels.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from gateway.call import Call, Handler, Reply
from gateway.listeners.http1.stream_writer import reset
from gateway.status import Code, StatusError
from tests.support.polling import still, until
from tests.support.streaming import (
    CHANNELS,
    Stage,
    gateway_tasks,
    open_files,
    open_stage,
    settled,
)
from tests.support.websocket import JSON, PROTOBUF, finish, hear, opened, refusal, say

KINDS = {"server": "down", "client": "up", "bidi": "both"}
matrix = pytest.mark.parametrize(
    ("kind", "codec", "channel"),
    [
        pytest.param(kind, codec, channel, id=f"{kind}-{codec.rpartition('.')[2]}-{channel}")
        for kind in KINDS
        for codec in (JSON, PROTOBUF)
        for channel in CHANNELS
    ],
)


@asynccontextmanager
async def scene(channel: str, *guards: Any) -> AsyncIterator[Stage]:
    """A stage on which nothing may be left in the end."""
    async with open_stage(*guards, channel=channel) as stage:
        # What is opened once, such as the connection to the back end, is no leftover.
        async with stage.connected() as client:
            await client.get("/v1/warm/once")
        await until(lambda: not gateway_tasks() or not stage.endings.codes)
        stage.endings.codes.clear()
        stage.backend.received.clear()
        files = open_files()
        yield stage
        await settled(stage, files)


@asynccontextmanager
async def talk(stage: Stage, topic: str, kind: str, codec: str) -> AsyncIterator[ClientConnection]:
    async with opened(stage, f"/v1/{topic}/{KINDS[kind]}", subprotocols=[codec]) as client:
        yield client


async def ended(stage: Stage, *codes: Code) -> None:
    await until(lambda: bool(stage.endings.codes))
    assert len(stage.endings.codes) == 1
    assert stage.endings.codes[0] in codes


@matrix
async def test_it_ends_well(kind: str, codec: str, channel: str) -> None:
    async with scene(channel) as stage:
        async with talk(stage, "well", kind, codec) as client:
            if kind != "server":
                await say(client, "a", "b", "c")
                await finish(client)
            seen = await hear(client)
        assert (seen.ending, client.close_code) == ("end", 1000)
        assert len(seen.messages) == (1 if kind == "client" else 3)
        await ended(stage, Code.OK)


class Refuse:
    """A guard that lets nobody in."""

    async def __call__(self, call: Call, proceed: Handler) -> Reply:
        if call.method.name == "Once":
            return await proceed(call)
        raise StatusError(Code.PERMISSION_DENIED, "not you")


@matrix
async def test_a_guard_refuses_before_there_is_one(kind: str, codec: str, channel: str) -> None:
    async with scene(channel, Refuse()) as stage:
        refused = await refusal(stage, f"/v1/well/{KINDS[kind]}", subprotocols=[codec])
        assert refused == (403, "not you")
        await ended(stage, Code.PERMISSION_DENIED)
        assert stage.backend.received == []


@matrix
async def test_it_fails_before_the_first_message(kind: str, codec: str, channel: str) -> None:
    async with scene(channel) as stage:
        async with talk(stage, "early", kind, codec) as client:
            with suppress(ConnectionClosed):  # it may have ended before all is said
                if kind != "server":
                    await say(client, "a", "b")
            seen = await hear(client)
        assert (seen.messages, seen.ending, client.close_code) == ([], "NOT_FOUND", 4005)
        await ended(stage, Code.NOT_FOUND)


@matrix
async def test_it_fails_after_some(kind: str, codec: str, channel: str) -> None:
    async with scene(channel) as stage:
        async with talk(stage, "late", kind, codec) as client:
            if kind != "server":
                await say(client, "a", "b", "c")
                with suppress(ConnectionClosed):
                    await finish(client)
            seen = await hear(client)
        assert (seen.ending, client.close_code) == ("DATA_LOSS", 4015)
        assert len(seen.messages) == (0 if kind == "client" else 2)
        await ended(stage, Code.DATA_LOSS)


@matrix
async def test_a_client_that_leaves_cancels_the_call_within_a_second(
    kind: str, codec: str, channel: str
) -> None:
    async with scene(channel) as stage:
        async with talk(stage, "hang", kind, codec) as client:
            if kind != "server":
                await say(client, "a")
            await until(lambda: bool(stage.backend.running))
            client.transport.abort()
            await until(
                lambda: not stage.backend.running and bool(stage.endings.codes), within_s=1.0
            )
        await ended(stage, Code.CANCELLED)


@matrix
async def test_who_is_slow_holds_the_other_side_back(kind: str, codec: str, channel: str) -> None:
    async with scene(channel) as stage:
        async with talk(stage, "flood", kind, codec) as client:
            if kind == "client":
                # Here it is the back end that does not read on.
                await say(client, "a")
                client.transport.set_write_buffer_limits(high=0)
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(say(client, *["x" * 50_000] * 4000), 1.0)
            else:
                if kind == "bidi":
                    await say(client, "a")
                client.transport.pause_reading()
                await until(lambda: stage.backend.produced)
                produced = await still(lambda: stage.backend.produced)
                assert produced * 50_000 < 60_000_000
            # A close would wait behind all that is not taken; a reset does not.
            reset(client.transport)
        await ended(stage, Code.CANCELLED)


@matrix
async def test_a_back_end_that_dies_is_told(kind: str, codec: str, channel: str) -> None:
    async with scene(channel) as stage:
        async with talk(stage, "hang", kind, codec) as client:
            if kind != "server":
                await say(client, "a")
            await until(lambda: bool(stage.backend.running))
            if kind != "client":
                await until(lambda: len(client.recv_messages.frames))
            await stage.backend.kill()
            seen = await hear(client)
        assert seen.ending not in ("end", "")
        assert client.close_code == 4000 + Code[seen.ending]
        assert len(seen.messages) == (0 if kind == "client" else 1)
        await ended(stage, Code[seen.ending])
