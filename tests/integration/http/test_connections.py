"""One connection after another request: kept, refused, paused, told to close."""

import asyncio

import pytest

from gateway.call import Call, Reply
from tests.support.front_end import FrontEnd, chunked, get, open_front_end, post
from tests.support.polling import turns, until

ITEM = get("/v1/items/a")


def created(text: str) -> bytes:
    return post("/v1/items", b'{"text":"%b"}' % text.encode())


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(post("/nowhere", bytes(60_000)), id="unknown path"),
        pytest.param(post("/nowhere", bytes(300_000)), id="unknown path, larger than the buffers"),
        pytest.param(post("/v1/items/a", bytes(300_000), method="DELETE"), id="no body wanted"),
        pytest.param(chunked("/nowhere", *[bytes(50_000)] * 6), id="chunks"),
    ],
)
async def test_an_unread_body_is_never_taken_for_the_next_request(
    front_end: FrontEnd, first: bytes
) -> None:
    async with front_end.connected() as client:
        await client.send(first + ITEM)
        answer = await client.answer()
        assert answer.status in (400, 404)
        if answer.closes:
            assert await client.is_closed()
        else:
            assert (await client.answer()).json["name"] == "items/a"


async def test_large_bodies_and_small_requests_can_be_sent_in_one_burst(
    front_end: FrontEnd,
) -> None:
    large = created("x" * 400_000)
    async with front_end.connected() as client:
        sending = asyncio.create_task(client.send((large + ITEM) * 3))
        for _ in range(3):
            assert len((await client.answer()).json["text"]) == 400_000
            assert (await client.answer()).json["name"] == "items/a"
        await sending


@pytest.mark.parametrize("blanks", [b" ", b"\n", b"\r\n"])
async def test_a_large_body_of_many_lines_ends_where_its_length_says(
    front_end: FrontEnd, blanks: bytes
) -> None:
    large = post("/v1/items", b'{"text":' + blanks * 200_000 + b'"a"}')
    async with front_end.connected() as client:
        sending = asyncio.create_task(client.send((large + ITEM) * 2))
        for _ in range(2):
            assert (await client.answer()).json["text"] == "a"
            assert (await client.answer()).json["name"] == "items/a"
        await sending


async def test_more_pipelined_requests_than_are_queued_are_all_answered_in_order(
    front_end: FrontEnd,
) -> None:
    async with front_end.connected() as client:
        await client.send(b"".join(get(f"/v1/items/{n}") for n in range(200)))
        names = [(await client.answer()).json["name"] for _ in range(200)]
    assert names == [f"items/{n}" for n in range(200)]


async def test_pipelined_requests_are_handled_one_at_a_time(front_end: FrontEnd) -> None:
    under_way = most = 0

    async def part(call: Call) -> Reply:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.01)
        under_way -= 1
        return Reply()

    front_end.upstream.part = part
    async with front_end.connected() as client:
        await client.send(ITEM * 5)
        assert [(await client.answer()).status for _ in range(5)] == [200] * 5
    assert most == 1


async def test_requests_that_repeat_their_fields_are_each_answered_for_themselves(
    front_end: FrontEnd,
) -> None:
    async with front_end.connected() as client:
        for text in ("a", "b", "c", "longer", "d" * 5000, "e" * 200_000, "f", "g"):
            assert (await client.ask(created(text))).json["text"] == text
            assert (await client.ask(created(text))).json["text"] == text
        for name in ("a", "b", "c"):
            assert (await client.ask(get(f"/v1/items/{name}"))).json["name"] == f"items/{name}"
        assert (await client.ask(get("/v1/items/d", method="HEAD"))).status == 200
        assert (await client.ask(get("/v1/items/e", method="DELETE"))).json["name"] == "items/e"
        assert (await client.ask(get("/v1/items/a", "Accept: image/png"))).status == 406
        assert (await client.ask(ITEM)).status == 200


async def test_a_head_that_repeats_waits_for_the_request_before_it(front_end: FrontEnd) -> None:
    async def slow(call: Call) -> Reply:
        await asyncio.sleep(0.05)
        return Reply(await call.message())

    async with front_end.connected() as client:
        for _ in range(3):
            await client.ask(ITEM)
        front_end.upstream.part = slow
        for name in ("first", "second", "third"):
            await client.send(get(f"/v1/items/{name}"))
            await asyncio.sleep(0.01)
        names = [(await client.answer()).json["name"] for _ in range(3)]
    assert names == ["items/first", "items/second", "items/third"]


async def test_half_a_head_behind_one_that_repeats_is_not_waited_for_long() -> None:
    async with (
        open_front_end(limits={"header_timeout_s": 0.2}) as front_end,
        front_end.connected() as client,
    ):
        for _ in range(3):
            await client.ask(ITEM)
        await client.send(ITEM[:20])
        assert (await client.answer()).status == 408


async def test_nothing_behind_connection_close_is_served(front_end: FrontEnd) -> None:
    front_end.upstream.hangs(seconds=0.1)
    async with front_end.connected() as client:
        await client.send(get("/v1/items/a", "Connection: close"))
        await front_end.upstream.started.wait()
        await client.send(ITEM)
        assert (await client.answer()).closes
        assert await client.is_closed()
    assert len(front_end.upstream.calls) == 1


async def test_a_request_byte_by_byte_is_a_request(front_end: FrontEnd) -> None:
    async with front_end.connected() as client:
        for byte in created("slow"):
            await client.send(bytes([byte]))
            await asyncio.sleep(0)
        assert (await client.answer()).json["text"] == "slow"


async def test_empty_lines_before_a_request_are_skipped(front_end: FrontEnd) -> None:
    assert (await front_end.ask(b"\r\n\r\n" + ITEM)).status == 200


@pytest.mark.parametrize("protocol", ["h2c", "TLS/1.0"])
async def test_an_upgrade_nobody_speaks_is_ignored(front_end: FrontEnd, protocol: str) -> None:
    upgrade = ("Connection: Upgrade", f"Upgrade: {protocol}")
    assert (await front_end.ask(get("/v1/items/a", *upgrade))).status == 200
    answer = await front_end.ask(post("/v1/items", b'{"text":"b"}', *upgrade))
    assert answer.json["text"] == "b"


async def test_the_two_kinds_of_http_1_0_client_are_served(front_end: FrontEnd) -> None:
    async with front_end.connected() as client:
        answer = await client.ask(b"GET /v1/items/a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert answer.headers["connection"] == "keep-alive"
        assert (await client.ask(b"GET /v1/items/a HTTP/1.0\r\n\r\n")).closes
        assert await client.is_closed()


async def test_an_http_1_0_client_is_never_told_to_continue(front_end: FrontEnd) -> None:
    async with front_end.connected() as client:
        await client.send(
            b"POST /v1/items HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
        )
        await asyncio.sleep(0.05)
        assert (await client.ask(b"{}")).status == 200


async def test_no_continue_is_sent_when_the_body_is_there_already(front_end: FrontEnd) -> None:
    answer = await front_end.ask(post("/v1/items", b"{}", "Expect: 100-continue"))
    assert answer.status == 200


async def test_the_continue_waits_until_a_guard_let_the_call_pass(front_end: FrontEnd) -> None:
    passed = asyncio.Event()

    async def part(call: Call) -> Reply:
        await passed.wait()
        return Reply(await call.message())

    front_end.upstream.part = part
    async with front_end.connected() as client:
        await client.send(
            get("/v1/items", "Content-Length: 2", "Expect: 100-continue", method="POST")
        )
        await front_end.upstream.started.wait()
        await turns()
        passed.set()
        assert (await client.answer()).status == 100
        assert (await client.ask(b"{}")).status == 200


async def test_a_body_that_no_guard_asked_for_is_not_read(front_end: FrontEnd) -> None:
    front_end.upstream.answers(Reply(b"\x0a\x01a"))
    async with front_end.connected() as client:
        await client.send(get("/v1/items", "Content-Length: 1000000", method="POST") + b"{")
        answer = await client.answer()
        assert (answer.status, answer.json["name"]) == (200, "a")
        assert answer.closes
        assert await client.is_closed()


async def test_a_client_that_takes_nothing_is_dropped(front_end: FrontEnd) -> None:
    async with open_front_end(limits={"body_timeout_s": 0.3}) as impatient:
        impatient.upstream.answers(Reply(b"\x12\x80\x80\x80\x0a" + b"x" * (20 * 1024 * 1024)))
        async with impatient.connected() as client:
            await client.send(ITEM)
            await impatient.upstream.started.wait()
            await until(lambda: not impatient.listener.port.connections)
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await client.answer()


async def test_a_slow_reader_gets_all_of_a_large_answer(front_end: FrontEnd) -> None:
    async with open_front_end(limits={"body_timeout_s": 1.0}) as patient:
        patient.upstream.answers(Reply(b"\x12\x80\x80\x80\x04" + b"x" * (8 * 1024 * 1024)))
        async with patient.connected() as client:
            await client.send(get("/v1/items/a", "Connection: close"))
            head = await client.reader.readuntil(b"\r\n\r\n")
            length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
            received = 0
            while received < length:
                piece = await client.reader.read(256 * 1024)
                assert piece
                received += len(piece)
                await asyncio.sleep(0.02)


async def test_a_slow_head_behind_a_served_request_is_not_waited_for() -> None:
    async with (
        open_front_end(limits={"header_timeout_s": 0.2}) as front_end,
        front_end.connected() as client,
    ):
        assert (await client.ask(ITEM)).status == 200
        await client.send(b"GET /v1/it")
        answer = await client.answer()
        assert (answer.status, answer.closes) == (408, True)
        assert await client.is_closed()


async def test_no_head_is_waited_for_behind_a_body_in_pieces() -> None:
    request = post("/v1/items", b'{"text":"a body"}')
    async with (
        open_front_end(limits={"header_timeout_s": 0.2}) as front_end,
        front_end.connected() as client,
    ):
        await client.send(request[:-9])
        await asyncio.sleep(0.05)
        await client.send(request[-9:])
        assert (await client.answer()).status == 200
        await asyncio.sleep(0.6)
        assert (await client.ask(ITEM)).status == 200, "it is idle, and not in a head"


async def test_a_head_that_trickles_is_not_waited_for() -> None:
    async with (
        open_front_end(limits={"header_timeout_s": 0.2}) as front_end,
        front_end.connected() as client,
    ):
        for byte in ITEM[:40]:
            await client.send(bytes([byte]))
            await asyncio.sleep(0.02)
            if front_end.listener.port.connections and client.reader.at_eof():
                break
        assert (await client.answer()).status == 408
