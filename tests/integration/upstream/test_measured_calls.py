"""Calls to a real back end are measured once each, whatever kind of channel they take."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from gateway.call import Call, Deadline, Handler
from gateway.status import Code, StatusError
from gateway.upstream.invoke import invoke
from gateway.upstream.measure import Measure
from tests.support.balanced import channel_at, safe
from tests.support.grpc_backend import bytes_backend, method
from tests.support.reported_calls import ReportedCalls

KINDS: Mapping[str, Mapping[str, Any]] = {
    "usual": {},
    "hedged": {"hedging_policy": {"hedging_delay_s": 5}},
    "limited": {"max_requests": 9},
    "grpcio": {"channel": "grpcio"},
}


@asynccontextmanager
async def measured(kind: str) -> AsyncIterator[tuple[Handler, ReportedCalls]]:
    """The last handler of calls over a channel of a kind, and the codes that it reports."""
    reported = ReportedCalls()
    async with bytes_backend() as backend, channel_at(backend.target, **KINDS[kind]) as channel:
        measure = Measure(reported)
        yield invoke(channel, measure=measure), reported


@pytest.mark.parametrize("kind", KINDS)
async def test_each_outcome_is_reported_once(kind: str) -> None:
    async with measured(kind) as (send, reported):
        answered = Call(safe("Echo"), message=b"question")
        assert (await send(answered)).message == b"question"
        assert reported.take() == [Code.OK]
        assert not answered.back_end_failed

        failed = Call(safe("AbortNow"), message=b"")
        with pytest.raises(StatusError):
            await send(failed)
        assert reported.take() == [Code.NOT_FOUND]
        assert failed.back_end_failed

        late = Call(safe("Echo"), message=b"", deadline=Deadline(time.monotonic() - 1))
        with pytest.raises(StatusError):
            await send(late)
        assert reported.take() == [Code.DEADLINE_EXCEEDED]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_cancelled_call_and_a_stream_are_reported_once(kind: str) -> None:
    async with measured(kind) as (send, reported):
        task = asyncio.ensure_future(send(Call(safe("Hang"), message=b"")))
        await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert reported.take() == [Code.CANCELLED]

        streamed = Call(method("Count", server_streaming=True), message=b"2")
        reply = await send(streamed)
        assert reply.messages is not None
        assert [one async for one in reply.messages] == [b"0", b"1"]
        assert reported.take() == []
        streamed.end(Code.OK)
        assert reported.take() == [Code.OK]
