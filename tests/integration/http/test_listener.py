"""Opening and closing a port."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gateway.call import Reply
from gateway.listeners.sockets import ListenError
from gateway.status import Code
from tests.support.front_end import FrontEnd, get, open_front_end, post
from tests.support.polling import turns, until

ITEM = get("/v1/items/a")


def others() -> set[asyncio.Task[object]]:
    """Every task but this one."""
    return asyncio.all_tasks() - {t for t in [asyncio.current_task()] if t is not None}


async def test_an_ipv6_address_is_served_and_told_in_brackets() -> None:
    async with open_front_end(listen="[::1]:0") as front_end:
        assert front_end.listener.address.startswith("[::1]:")
        assert (await front_end.ask(ITEM)).status == 200


async def test_a_unix_socket_is_served(tmp_path: Path) -> None:
    listen = f"unix:{tmp_path / 'gateway.sock'}"
    async with open_front_end(listen=listen) as front_end:
        assert front_end.listener.address == listen
        assert (await front_end.ask(ITEM)).status == 200
    async with open_front_end(listen=listen) as front_end:
        assert (await front_end.ask(ITEM)).status == 200, "the socket of a dead gateway is no bar"


@pytest.mark.parametrize(
    ("listen", "why"),
    [
        ("8080", "expected HOST:PORT"),
        ("127.0.0.1:http", "expected HOST:PORT"),
        ("127.0.0.1:70000", "expected HOST:PORT"),
        ("203.0.113.1:0", "this machine has no such address"),
        ("no-such-host.invalid:0", "no such address"),
        ("unix:/no/such/place/gateway.sock", "cannot listen on unix:/no/such/place/gateway.sock: "),
    ],
)
async def test_a_port_that_cannot_be_had_is_one_clear_line(listen: str, why: str) -> None:
    with pytest.raises(ListenError, match=why) as raised:
        async with open_front_end(listen=listen):
            pass
    assert "\n" not in str(raised.value)


async def closing(stack: AsyncExitStack) -> "asyncio.Task[None]":
    """Closes a front end in the background, far enough to take no more."""
    task = asyncio.create_task(stack.aclose())
    await turns()
    return task


async def opened(stack: AsyncExitStack) -> FrontEnd:
    return await stack.enter_async_context(open_front_end())


async def test_closing_waits_for_a_body_that_is_still_coming() -> None:
    stack = AsyncExitStack()
    front_end = await opened(stack)
    async with front_end.connected() as client:
        await client.send(get("/v1/items", "Content-Length: 12", method="POST") + b'{"text"')
        await front_end.upstream.started.wait()
        closed = await closing(stack)
        answer = await client.ask(b':"a"}')
        assert (answer.status, answer.json["text"], answer.closes) == (200, "a", True)
        await asyncio.wait_for(closed, 1)


async def test_closing_lets_a_large_answer_arrive_whole() -> None:
    stack = AsyncExitStack()
    front_end = await opened(stack)
    front_end.upstream.answers(Reply(b"\x12\x80\x80\x80\x04" + b"x" * (8 * 1024 * 1024)))
    async with front_end.connected() as client:
        await client.send(ITEM)
        await front_end.upstream.started.wait()
        buffered = client.reader._buffer  # type: ignore[attr-defined]
        await until(lambda: buffered)  # its beginning is on its way
        closed = await closing(stack)
        assert len((await client.answer()).json["text"]) == 8 * 1024 * 1024
        await asyncio.wait_for(closed, 1)


async def test_closing_takes_no_more_requests_on_open_connections() -> None:
    stack = AsyncExitStack()
    front_end = await opened(stack)
    front_end.upstream.hangs(seconds=0.3)
    async with front_end.connected() as busy, front_end.connected() as idle:
        await busy.send(ITEM)
        await front_end.upstream.started.wait()
        closed = await closing(stack)
        assert await idle.is_closed(within_s=0.2)
        await busy.send(ITEM)
        assert (await busy.answer()).closes
        assert await busy.is_closed()
        with pytest.raises(ConnectionRefusedError):
            async with front_end.connected():
                pass
        await closed
    assert len(front_end.upstream.calls) == 1


async def test_what_does_not_finish_in_the_grace_period_is_cancelled(
    front_end: FrontEnd,
) -> None:
    front_end.upstream.hangs()
    async with front_end.connected() as client:
        await client.send(ITEM)
        await front_end.upstream.started.wait()
        await asyncio.wait_for(front_end.listener.close(grace_s=0.1), 1)
        assert front_end.upstream.endings == [Code.CANCELLED]
        assert await client.is_closed()


async def test_a_closed_front_end_leaves_nothing_running(tmp_path: Path) -> None:
    before = others()
    async with (
        open_front_end(log=tmp_path / "access.log") as front_end,
        AsyncExitStack() as clients,
    ):
        front_end.upstream.hangs(seconds=0.2)
        for request in (ITEM, b"GET /v1/it", post("/v1/items", b"{"), b"junk\r\n\r\n", b""):
            client = await clients.enter_async_context(front_end.connected())
            await client.send(request)
        gone = await clients.enter_async_context(front_end.connected())
        await gone.send(ITEM)
        await until(lambda: len(front_end.upstream.calls) == 3)
        await gone.close()
    assert others() - before == set()
    assert not front_end.listener.port.connections


async def test_more_clients_than_allowed_are_told_so_and_those_there_are_served() -> None:
    async with open_front_end(limits={"connections": 2}) as front_end:
        async with front_end.connected() as first, front_end.connected() as second:
            assert (await first.ask(ITEM)).status == 200
            assert (await second.ask(ITEM)).status == 200
            async with front_end.connected() as third:
                refused = await third.answer()
                assert (refused.status, refused.headers["retry-after"]) == (503, "1")
                assert refused.json["error"]["status"] == "UNAVAILABLE"
                assert await third.is_closed()
            assert (await first.ask(ITEM)).status == 200
        await until(lambda: not front_end.listener.port.connections)
        assert (await front_end.ask(ITEM)).status == 200
