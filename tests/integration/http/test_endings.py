"""However a request ends, its call ends once, with the code its caller was told."""

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from gateway.call import Call, Reply
from gateway.status import Code, StatusError
from tests.support.front_end import FrontEnd, get, open_front_end, post
from tests.support.polling import until

ITEM = get("/v1/items/a")


async def gone(front_end: FrontEnd) -> None:
    """Waits until the front end knows of no connection."""
    await until(lambda: not front_end.listener.port.connections)


async def test_an_answered_call_ends_ok_before_its_client_has_the_answer(
    front_end: FrontEnd,
) -> None:
    assert (await front_end.ask(ITEM)).status == 200
    assert front_end.upstream.endings == [Code.OK]


@pytest.mark.parametrize("code", [code for code in Code if code is not Code.OK])
async def test_a_failed_call_ends_with_its_code(front_end: FrontEnd, code: Code) -> None:
    front_end.upstream.fails(StatusError(code, "so it is"))
    answer = await front_end.ask(ITEM)
    assert answer.json["error"]["status"] == code.name
    assert front_end.upstream.endings == [code]


async def test_a_bad_body_ends_the_call_that_asked_for_it(front_end: FrontEnd) -> None:
    assert (await front_end.ask(post("/v1/items", b"{"))).status == 400
    assert front_end.upstream.endings == [Code.INVALID_ARGUMENT]


async def test_a_reply_that_cannot_be_shown_ends_its_call_as_internal(front_end: FrontEnd) -> None:
    front_end.upstream.answers(Reply(b"\xff\xff"))
    answer = await front_end.ask(ITEM)
    assert (answer.status, answer.json["error"]["status"]) == (500, "INTERNAL")
    assert front_end.upstream.endings == [Code.INTERNAL]


async def test_a_bug_is_logged_under_the_request_id_and_not_told(
    front_end: FrontEnd, caplog: pytest.LogCaptureFixture
) -> None:
    front_end.upstream.fails(ZeroDivisionError("secret 4711"))
    with caplog.at_level(logging.ERROR, "gateway"):
        answer = await front_end.ask(get("/v1/items/a", "X-Request-Id: the-one"))
    assert answer.json == {
        "error": {"code": 500, "message": "internal error", "status": "INTERNAL"}
    }
    assert front_end.upstream.endings == [Code.INTERNAL]
    assert [r.getMessage() for r in caplog.records] == ["request the-one failed"]
    assert caplog.records[0].exc_info is not None
    assert (await front_end.ask(ITEM)).status == 500, "the front end lives on"


async def leave_by_close(client: Any) -> None:
    client.writer.close()


async def leave_by_reset(client: Any) -> None:
    client.writer.transport.abort()


@pytest.mark.parametrize("leave", [leave_by_close, leave_by_reset])
async def test_a_client_that_leaves_cancels_its_call_within_a_second(
    tmp_path: Path, leave: Any
) -> None:
    log = tmp_path / "access.log"
    async with open_front_end(log=log) as front_end:
        front_end.upstream.hangs()
        async with front_end.connected() as client:
            await client.send(ITEM)
            await front_end.upstream.started.wait()
            await leave(client)
            await asyncio.wait_for(front_end.upstream.cancelled.wait(), 1)
        await gone(front_end)
        assert front_end.upstream.endings == [Code.CANCELLED]
    line = json.loads(log.read_text())
    told = (line["http.response.status_code"], line["rpc.response.status_code"])
    assert told == (499, "CANCELLED")
    assert line["http.response.body.size"] == 0


async def test_a_client_that_leaves_amid_its_body_cancels_its_call(front_end: FrontEnd) -> None:
    async with front_end.connected() as client:
        await client.send(get("/v1/items", "Content-Length: 100", method="POST") + b"{")
        await front_end.upstream.started.wait()
    await gone(front_end)
    assert front_end.upstream.endings == [Code.CANCELLED]


async def test_a_client_that_leaves_spares_the_requests_it_had_queued(front_end: FrontEnd) -> None:
    front_end.upstream.hangs()
    async with front_end.connected() as client:
        await client.send(ITEM * 3)
        await front_end.upstream.started.wait()
    await gone(front_end)
    assert len(front_end.upstream.calls) == 1


async def test_a_handler_that_overstays_its_deadline_is_cancelled_and_answered_for(
    tmp_path: Path,
) -> None:
    log = tmp_path / "access.log"
    async with open_front_end(log=log) as front_end:
        front_end.upstream.hangs()
        async with front_end.connected() as client:
            answer = await client.ask(get("/v1/items/a", "Grpc-Timeout: 100m"), within_s=2)
            assert (answer.status, answer.json["error"]["status"]) == (504, "DEADLINE_EXCEEDED")
            assert front_end.upstream.cancelled.is_set()
            front_end.upstream.answers(Reply())
            assert (await client.ask(ITEM)).status == 200
        assert front_end.upstream.endings[0] is Code.DEADLINE_EXCEEDED
    assert json.loads(log.read_text().splitlines()[0])["http.response.status_code"] == 504


async def test_a_handler_that_swallows_the_reason_of_its_cancelling_is_answered_for_too(
    front_end: FrontEnd,
) -> None:
    async def part(call: Call) -> Reply:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            raise asyncio.CancelledError from None
        return Reply()

    front_end.upstream.part = part
    answer = await front_end.ask(get("/v1/items/a", "Grpc-Timeout: 50m"))
    assert answer.status == 504


async def test_the_deadline_covers_a_body_that_trickles(front_end: FrontEnd) -> None:
    async with front_end.connected() as client:
        await client.send(
            get("/v1/items", "Content-Length: 10000", "Grpc-Timeout: 200m", method="POST")
        )
        answering = asyncio.create_task(client.answer())
        while not answering.done():
            await client.send(b" ")
            await asyncio.sleep(0.05)
        assert (await answering).status == 504


async def test_a_call_knows_its_deadline_and_its_peer(front_end: FrontEnd) -> None:
    now_s = asyncio.get_running_loop().time()
    await front_end.ask(get("/v1/items/a", "Grpc-Timeout: 5S"))
    (call,) = front_end.upstream.calls
    assert call.deadline is not None
    assert 4 < call.deadline.remaining_s(now_s) < 6
    assert call.peer == "127.0.0.1"
    assert call.method.full_name == "front.v1.Front.GetItem"


async def test_a_request_that_no_rule_matches_makes_no_call(front_end: FrontEnd) -> None:
    for request in (get("/nowhere"), get("/v1/items"), get("/v1/items/a", "Accept: image/png")):
        assert (await front_end.ask(request)).status in (404, 405, 406)
    assert not front_end.upstream.calls
