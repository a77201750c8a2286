"""Replies and errors of a back end that break every rule: each still gives an answer and a line."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

from gateway.status import Code, StatusError
from gateway.transcoding.wire import length_delimited
from tests.integration.websocket.test_websocket_hostile import shake
from tests.support.front_end import get, open_front_end
from tests.support.hostile_backend import details, hostile_gateway, nested
from tests.support.http import connected
from tests.support.polling import until
from tests.support.streaming import CHANNELS

MALFORMED = [
    pytest.param(b"\xff" * 393_000, id="a number without end"),
    pytest.param(b"\x12\x7fabc", id="a length beyond the end"),
    pytest.param(b"\x00\x01", id="field number 0"),
    pytest.param(b"\x13\x1c", id="the end of another group"),
    pytest.param(b"\x12", id="a tag alone"),
]


def lines(place: Path) -> list[dict[str, Any]]:
    text = (place / "access.log").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def unreadable(caplog: pytest.LogCaptureFixture) -> list[Any]:
    return [
        record
        for record in caplog.records
        if getattr(record, "gateway_event", "") == "gateway.reply.unreadable"
    ]


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("reply", MALFORMED)
async def test_a_malformed_reply_is_internal_at_once_and_the_log_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, channel: str, reply: bytes
) -> None:
    async with (
        hostile_gateway(tmp_path, channel) as hostile,
        connected(hostile.gateway) as client,
        connected(hostile.gateway) as other,
    ):
        hostile.reply = reply
        for target, accept in [
            ("/v1/raw", "*/*"),
            ("/v1/part", "*/*"),
            ("/v1/part", "application/x-protobuf"),
            ("/v1/held", "*/*"),
            ("/v1/down", "*/*"),
        ]:
            caplog.clear()
            asked = asyncio.ensure_future(client.get(target, f"Accept: {accept}"))
            started_s = time.monotonic()
            assert (await other.get("/v1/fine")).status == 200
            answer = await asked
            assert time.monotonic() - started_s < 2
            assert answer.status == 500, (target, answer.body)
            (record,) = unreadable(caplog)
            assert record.gateway_fields["gateway.request.id"] == answer.header("x-request-id")
    assert len(lines(tmp_path)) == 10


async def test_a_malformed_piece_of_a_stream_cuts_it_and_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with hostile_gateway(tmp_path) as hostile, connected(hostile.gateway) as client:
        hostile.reply, hostile.after = b"\x12\x7fabc", 2
        await client.send("GET /v1/down HTTP/1.1\r\nHost: test\r\n\r\n")
        async with asyncio.timeout(5):
            body = await client.reader.read()
        assert not body.endswith(b"0\r\n\r\n")
        assert len(unreadable(caplog)) == 1
    (line,) = lines(tmp_path)
    assert line["rpc.response.status_code"] == "INTERNAL"


# grpcio takes no trailers as large as those of the deeper ones.
@pytest.mark.parametrize(
    ("channel", "levels"), [("http2", 90), ("http2", 101), ("http2", 500), ("grpcio", 90)]
)
@pytest.mark.parametrize("shape", ["aip193", "status", "problem"])
async def test_details_nested_however_deep_give_an_answer_and_a_line(
    tmp_path: Path, channel: str, levels: int, shape: str
) -> None:
    settings = {"errors": shape}
    async with hostile_gateway(tmp_path, channel, **settings) as hostile:
        hostile.details = details(levels)
        async with connected(hostile.gateway) as client:
            head = "HTTP/1.1\r\nHost: test\r\n\r\n"
            await client.send(f"GET /v1/held {head}GET /v1/helds {head}GET /v1/fine {head}")
            failed, stream, fine = [await client.answer() for _ in range(3)]
        assert (failed.status, stream.status, fine.status) == (409, 409, 200)
        document = failed.json()
        (shown,) = (document["error"] if shape == "aip193" else document)["details"]
        depth = 0
        while isinstance(shown.get("value"), dict):
            shown, depth = shown["value"], depth + 1
        assert depth == (90 if levels == 90 else 0)
    assert [line["http.response.status_code"] for line in lines(tmp_path)] == [409, 409, 200]


@pytest.mark.parametrize("levels", [101, 500])
async def test_so_do_records_of_a_stream_and_the_end_of_a_websocket(
    tmp_path: Path, levels: int
) -> None:
    async with hostile_gateway(tmp_path) as hostile, connected(hostile.gateway) as client:
        hostile.details, hostile.after = details(levels), 1
        answer = await client.get("/v1/helds", "Accept: application/x-ndjson")
        _, last = answer.body.splitlines()
        assert json.loads(last)["error"]["status"] == "ABORTED"
        assert (await client.get("/v1/fine")).status == 200
        await shake(client, "/v1/helds")
        async with asyncio.timeout(5):
            sent = await client.reader.readuntil(b"ABORTED: as told")
        assert b'{"@status":{"code":10,"message":"as told"' in sent
    assert len(lines(tmp_path)) == 3


@pytest.mark.parametrize("levels", [101, 500, 3000])
@pytest.mark.parametrize("target", ["/v1/held", "/v1/any", "/v1/helds"])
async def test_a_reply_nested_too_deep_is_internal(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, levels: int, target: str
) -> None:
    async with hostile_gateway(tmp_path) as hostile, connected(hostile.gateway) as client:
        hostile.reply = length_delimited(28, nested(levels))
        answer = await client.get(target)
        assert b"nested" in answer.body
        assert b"INTERNAL" in answer.body
        assert (await client.get("/v1/fine")).status == 200
        assert len(unreadable(caplog)) == 1
    assert len(lines(tmp_path)) == 2


async def test_a_failure_that_has_no_form_still_has_its_code(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    async with open_front_end(log=log) as front_end:
        # What an interceptor of one's own may get wrong.
        front_end.upstream.fails(StatusError(Code.ABORTED, "no", details=[object()]))  # type: ignore[list-item]
        for accept in ("application/json", "application/x-protobuf"):
            answer = await front_end.ask(get("/v1/items/a", f"Accept: {accept}"))
            assert answer.status == 409
        front_end.upstream.fails(StatusError(Code.ABORTED, "no", metadata=[("x-a", None)]))  # type: ignore[list-item]
        assert (await front_end.ask(get("/v1/items/a"))).status == 409
    assert [line["http.response.status_code"] for line in lines(tmp_path)] == [409] * 3


async def test_the_log_is_written_behind_the_answer(tmp_path: Path) -> None:
    async with hostile_gateway(tmp_path) as hostile, connected(hostile.gateway) as client:
        hostile.details = details(250)
        assert (await client.get("/v1/held")).status == 409
        await until(lambda: len(lines(tmp_path)) == 1)


@pytest.mark.parametrize("target", ["/v1/held", "/v1/helds"])
async def test_a_reply_of_too_many_values_is_refused_and_says_so(
    tmp_path: Path, target: str
) -> None:
    async with (
        hostile_gateway(tmp_path, limits={"response_values": 1_000}) as hostile,
        connected(hostile.gateway) as client,
    ):
        hostile.reply = length_delimited(28, b"") * 2_000
        answer = await client.get(target)
        assert b"the reply has more than 1000 values" in answer.body
        assert (await client.get("/v1/fine")).status == 200
    assert lines(tmp_path)[0]["rpc.response.status_code"] == "RESOURCE_EXHAUSTED"
