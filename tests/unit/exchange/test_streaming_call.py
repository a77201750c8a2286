"""A streaming call apart from what carries it: guards, reply, and one ending."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest

from gateway.call import Call, Reply
from gateway.config.model import Config
from gateway.exchange.calls import CallFactory
from gateway.exchange.streaming_call import StreamingCall
from gateway.http.forwarded import Forwarding
from gateway.http.header_fields import NO_FIELDS
from gateway.http.messages import Request
from gateway.policy.deadlines import Deadlines
from gateway.status import Code, StatusError
from gateway.transcoding.metadata import MetadataRules
from tests.support.stream_backend import schema
from tests.support.upstream import Part, Upstream

METHODS = {method.name: method for method in schema().methods.values()}


class Source:
    """A stream of requests that knows what became of it."""

    def __init__(self, *messages: bytes) -> None:
        self.messages = messages
        self.begun = self.closed = False

    async def __call__(self, on_admitted: Callable[[], None]) -> AsyncGenerator[bytes]:
        on_admitted()
        self.begun = True
        try:
            for message in self.messages:
                yield message
        finally:
            self.closed = True


def converse(
    part: Part, kind: str = "Both", *messages: bytes
) -> tuple[StreamingCall, Upstream, Source]:
    upstream, source = Upstream(part), Source(*messages)
    config = Config()
    calls = CallFactory(
        dict.fromkeys(METHODS.values(), upstream),
        rules=MetadataRules(config.metadata),
        rules_of_proxies=MetadataRules(config.metadata),
        forwarding=Forwarding(config.forwarded),
        deadlines=Deadlines(config.deadlines),
        certificate_of=None,
        framings=(),
    )
    request = Request("POST", "/", NO_FIELDS, "127.0.0.1")
    opened: dict[str, Any] = {"messages": source}
    if not METHODS[kind].client_streaming:
        opened = {"read": read_one}
    return StreamingCall(calls, request, METHODS[kind], 0.0, **opened), upstream, source


async def read_one(_: Callable[[], None]) -> bytes:
    return b"one"


async def echoing(call: Call) -> Reply:
    assert call.messages is not None
    return Reply(messages=call.messages)


async def refusing(call: Call) -> Reply:
    raise StatusError(Code.PERMISSION_DENIED, "no")


async def hanging(call: Call) -> Reply:
    assert call.messages is not None
    await anext(call.messages)
    await asyncio.sleep(30)
    return Reply()


async def stuck_guard(call: Call) -> Reply:
    await asyncio.sleep(30)
    return Reply()


async def test_replies_come_one_by_one_and_the_call_ends_once() -> None:
    call, upstream, source = converse(echoing, "Both", b"a", b"b")
    assert [message async for message in call] == [b"a", b"b"]
    await call.end(Code.OK)
    await call.end(Code.CANCELLED)
    assert upstream.endings == [Code.OK]
    assert source.closed


async def test_a_unary_reply_is_one_message() -> None:
    async def once(call: Call) -> Reply:
        return Reply(await call.message())

    call, _, _ = converse(once, "Down")
    assert [message async for message in call] == [b"one"]
    await call.end(Code.OK)


async def test_a_refusal_comes_before_anything_is_read() -> None:
    call, upstream, source = converse(refusing, "Both", b"a")
    with pytest.raises(StatusError, match="no"):
        await call.admitted()
    await call.end(Code.PERMISSION_DENIED)
    assert not source.begun
    assert upstream.endings == [Code.PERMISSION_DENIED]


async def test_who_is_admitted_learns_it_before_there_is_a_reply() -> None:
    call, upstream, source = converse(hanging, "Both", b"a")
    await asyncio.wait_for(call.admitted(), 1)
    assert await call.reply_within(0.01) is None
    await call.end(Code.CANCELLED)
    assert upstream.cancelled.is_set()
    assert source.closed


async def test_the_time_for_a_reply_begins_when_the_guards_agree() -> None:
    call, _, _ = converse(stuck_guard, "Both", b"a")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(call.reply_within(0.01), 0.2)
    await call.end(Code.CANCELLED)


async def test_a_reply_that_nobody_reads_is_closed() -> None:
    call, upstream, source = converse(echoing, "Both", b"a")
    reply = await call.reply
    assert reply is not None
    assert await anext(call) == b"a"
    await call.end(Code.CANCELLED)
    assert source.closed
    assert upstream.endings == [Code.CANCELLED]


async def test_a_failure_that_nobody_heard_of_is_no_loose_end() -> None:
    call, upstream, _ = converse(refusing)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await call.end(Code.CANCELLED)
    assert upstream.endings == [Code.CANCELLED]
