"""Every kind of stream in every format, and every way in which it can end.

Each row asserts what the client saw, that the call ended once and with which code, and that neither
a task nor a stream nor a socket is left of it, on both channels.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.call import Call, Handler, Reply
from gateway.listeners.http1.stream_writer import reset
from gateway.status import Code, StatusError
from tests.support.polling import still, until
from tests.support.streaming import (
    ARRAY,
    CHANNELS,
    EVENTS,
    NDJSON,
    PROTOBUF,
    Seen,
    Stage,
    Talk,
    open_files,
    open_stage,
    settled,
)

KINDS = {"server": ("GET", "down"), "client": ("POST", "up"), "bidi": ("POST", "both")}
MATRIX = [
    pytest.param(kind, media_type, channel, id=f"{kind}-{name}-{channel}")
    for kind in KINDS
    for name, media_type in {
        "lines": NDJSON,
        "array": ARRAY,
        "events": EVENTS,
        "protobuf": PROTOBUF,
    }.items()
    # Events are a format of answers alone: a stream of requests has three.
    if not (kind == "client" and media_type == EVENTS)
    for channel in CHANNELS
]
matrix = pytest.mark.parametrize(("kind", "media_type", "channel"), MATRIX)


def formats(kind: str, media_type: str) -> tuple[str, str]:
    """How the client speaks, and how it wants to be answered."""
    if kind == "client":
        return media_type, PROTOBUF if media_type == PROTOBUF else ARRAY
    return (NDJSON if media_type == EVENTS else media_type), media_type


class Scene:
    """One exchange on a stage."""

    def __init__(self, stage: Stage, talk: Talk, kind: str) -> None:
        self.stage = stage
        self.talk = talk
        self.kind = kind

    async def begin(self, topic: str) -> None:
        """Sends the head of the request."""
        method, path = KINDS[self.kind]
        await self.talk.begin(method, f"/v1/{topic}/{path}")

    async def ask(self, topic: str, *texts: str) -> Seen:
        """Sends the whole request and hears the answer."""
        await self.begin(topic)
        if self.kind != "server":
            await self.talk.say(*texts)
            await self.talk.finish()
        return await self.talk.hear()


@asynccontextmanager
async def scene(
    kind: str, media_type: str, channel: str, *guards: Any, **settings: Any
) -> AsyncIterator[Scene]:
    """An exchange about to begin; in the end nothing may be left of it."""
    async with open_stage(*guards, channel=channel, **settings) as stage:
        # What is opened once, such as the connection to the back end, is no leftover.
        async with stage.connected() as client:
            await client.get("/v1/warm/once")
        stage.endings.codes.clear()
        files = open_files() - 1  # the client of the first request may not be gone yet
        await asyncio.sleep(0.02)
        files = min(open_files(), files + 1)
        async with stage.connected() as client:
            yield Scene(stage, Talk(client, *formats(kind, media_type)), kind)
        await settled(stage, files)


@matrix
async def test_a_stream_ends_well(kind: str, media_type: str, channel: str) -> None:
    async with scene(kind, media_type, channel) as act:
        seen = await act.ask("well", "a", "b", "c")
        assert (seen.status, seen.ending) == (200, "end")
        if kind == "client":
            assert seen.messages[0]["number"] == 3
        else:
            assert len(seen.messages) == 3
        if kind == "bidi":
            assert [said["text"] for said in seen.messages] == ["a", "b", "c"]
        if kind != "server":
            topics = [said.topic for said in act.stage.backend.received]
            assert topics == ["well", "", ""], "the path binds into the first message alone"
        assert act.stage.endings.codes == [Code.OK]


class Refuse:
    """A guard that lets nobody in."""

    async def __call__(self, call: Call, proceed: Handler) -> Reply:
        if call.method.name == "Once":
            return await proceed(call)
        raise StatusError(Code.PERMISSION_DENIED, "not you")


@matrix
async def test_a_guard_refuses_before_anything_is_read(
    kind: str, media_type: str, channel: str
) -> None:
    async with scene(kind, media_type, channel, Refuse()) as act:
        await act.begin("well")
        seen = await act.talk.hear()  # though not one message has been sent
        assert (seen.status, seen.ending) == (403, "PERMISSION_DENIED")
        assert act.stage.endings.codes == [Code.PERMISSION_DENIED]
        assert act.stage.backend.received == []


@matrix
async def test_a_failure_before_the_first_message_is_a_status(
    kind: str, media_type: str, channel: str
) -> None:
    async with scene(kind, media_type, channel) as act:
        seen = await act.ask("early", "a", "b")
        assert (seen.status, seen.ending) == (404, "NOT_FOUND")
        assert act.stage.endings.codes == [Code.NOT_FOUND]


@matrix
async def test_a_failure_after_some_messages_can_be_told_from_an_end(
    kind: str, media_type: str, channel: str
) -> None:
    async with scene(kind, media_type, channel) as act:
        seen = await act.ask("late", "a", "b", "c")
        if kind == "client":
            assert (seen.status, seen.ending) == (500, "DATA_LOSS")
        else:
            assert (seen.status, len(seen.messages)) == (200, 2)
            assert seen.ending == ("cut" if media_type == PROTOBUF else "DATA_LOSS")
        assert act.stage.endings.codes == [Code.DATA_LOSS]


@matrix
async def test_a_client_that_leaves_cancels_the_call_within_a_second(
    kind: str, media_type: str, channel: str
) -> None:
    async with scene(kind, media_type, channel) as act:
        await act.begin("hang")
        if kind != "server":
            await act.talk.say("a")
        if kind == "client":
            await until(lambda: bool(act.stage.backend.received))
        else:
            await act.talk.head()
            await act.talk.next_chunk()
        assert act.stage.backend.running == 1
        act.talk.client.writer.transport.abort()
        await until(
            lambda: not act.stage.backend.running and bool(act.stage.endings.codes), within_s=1.0
        )
        assert act.stage.endings.codes == [Code.CANCELLED]


@matrix
async def test_who_is_slow_holds_the_other_side_back(
    kind: str, media_type: str, channel: str
) -> None:
    async with scene(kind, media_type, channel) as act:
        await act.begin("flood")
        if kind == "client":
            # Here it is the back end that does not read on.
            await act.talk.say("a")
            act.talk.client.writer.transport.set_write_buffer_limits(high=0)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(act.talk.say(*["x" * 50_000] * 4000), 1.0)
            assert act.talk.said * 50_000 < 60_000_000
        else:
            if kind == "bidi":
                await act.talk.say("a")
            await until(lambda: act.stage.backend.produced)
            produced = await still(lambda: act.stage.backend.produced)
            assert produced * 50_000 < 60_000_000
        # A close would wait behind all that the gateway does not take; a reset does not.
        reset(act.talk.client.writer.transport)


@matrix
async def test_a_back_end_that_dies_fails_the_stream(
    kind: str, media_type: str, channel: str
) -> None:
    async with scene(kind, media_type, channel) as act:
        await act.begin("hang")
        if kind != "server":
            await act.talk.say("a")
        await until(lambda: bool(act.stage.backend.running))
        if kind != "client":  # the first message is on its way
            buffered = act.talk.client.reader._buffer  # type: ignore[attr-defined]
            await until(lambda: buffered)
            await still(lambda: len(buffered), for_s=0.1)
        await act.stage.backend.kill()
        seen = await act.talk.hear()
        if kind == "client":
            assert seen.status in (503, 499)
        else:
            assert len(seen.messages) == 1
            assert seen.ending == "cut" if media_type == PROTOBUF else seen.ending != "end"
        assert len(act.stage.endings.codes) == 1
        assert act.stage.endings.codes[0] is not Code.OK
