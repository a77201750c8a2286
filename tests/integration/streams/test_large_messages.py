"""Messages of 32 KiB or more are transcoded in a worker thread, wherever they come from."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import aiohttp
import pytest

from gateway.exchange.worker_threads import LARGE_BYTES
from tests.support.streaming import NDJSON, Stage, Talk, open_stage
from tests.support.websocket import opened

SMALL, LARGE = "x" * (LARGE_BYTES - 1000), "x" * (LARGE_BYTES + 1000)
TEXTS = pytest.mark.parametrize(
    ("text", "directions"), [(SMALL, 0), (LARGE, 2)], ids=["small", "large"]
)


@pytest.fixture
def handed_over(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The work that was handed to the threads that transcode."""
    handed: list[object] = []
    submit = ThreadPoolExecutor.submit

    def counting(self: ThreadPoolExecutor, work: Any, /, *arguments: Any, **named: Any) -> Any:
        if self._thread_name_prefix == "transcoding":
            handed.append(work)
        return submit(self, work, *arguments, **named)

    monkeypatch.setattr(ThreadPoolExecutor, "submit", counting)
    return handed


async def post(stage: Stage, path: str, text: str) -> Any:
    async with stage.connected() as client:
        body = json.dumps({"text": text})
        head = f"POST {path} HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
        await client.send(f"{head}Content-Length: {len(body)}\r\n\r\n{body}")
        return (await client.answer()).json()


@TEXTS
async def test_a_request_and_its_reply(
    handed_over: list[object], text: str, directions: int
) -> None:
    async with open_stage() as stage:
        assert (await post(stage, "/v1/t/once", text))["text"] == text
    assert len(handed_over) == directions


@TEXTS
async def test_the_messages_of_streams(
    handed_over: list[object], text: str, directions: int
) -> None:
    async with open_stage() as stage, stage.connected() as client:
        talk = Talk(client, NDJSON, NDJSON)
        await talk.begin("POST", "/v1/t/both")
        await talk.say(text, "end")
        await talk.finish()
        seen = await talk.hear()
    assert [len(one["text"]) for one in seen.messages] == [len(text), 3]
    assert (len(handed_over) >= 2) is bool(directions)
    assert bool(handed_over) is bool(directions)


@TEXTS
async def test_the_messages_of_websockets(
    handed_over: list[object], text: str, directions: int
) -> None:
    async with open_stage() as stage, opened(stage, "/v1/t/both") as client:
        for one in (text, "end"):
            await client.send(json.dumps({"text": one}))
            assert json.loads(await client.recv())["text"] == one
    assert len(handed_over) == directions


async def test_a_file_that_is_passed_on_is_only_copied(handed_over: list[object]) -> None:
    data = b"x" * 10 * LARGE_BYTES
    async with open_stage() as stage, aiohttp.ClientSession(stage.gateway.url) as session:
        headers = {"Content-Type": "image/png"}
        async with session.post("/v1/t/file", data=data, headers=headers) as response:
            assert (await response.json())["note"] == f"{len(data)} bytes"
    assert handed_over == []


async def test_the_file_of_a_form_is_only_copied_once_it_has_begun(
    handed_over: list[object],
) -> None:
    data = b"x" * 10 * LARGE_BYTES
    form = aiohttp.FormData()
    form.add_field("note", "a note")
    form.add_field("file", data, filename="a.gif", content_type="image/gif")
    async with open_stage() as stage, aiohttp.ClientSession(stage.gateway.url) as session:
        async with session.post("/v1/t/file", data=form) as response:
            assert (await response.json())["note"] == "a note"
        assert sum(int(one.file.data) for one in stage.backend.received) == len(data)
    assert len(handed_over) <= 1
