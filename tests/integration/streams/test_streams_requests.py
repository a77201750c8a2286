"""Requests that stream: spoken and answered at once, limited message by message, never held."""

import asyncio
import gzip
import json
import shutil
import zlib
from collections.abc import AsyncIterator

import aiohttp
import pytest

from gateway.call import Call, Handler, Reply
from gateway.listeners.http1.stream_writer import reset
from gateway.status import Code, StatusError
from tests.support.http import RawClient
from tests.support.polling import until
from tests.support.streaming import ARRAY, CHANNELS, EVENTS, NDJSON, Stage, Talk, open_stage

HEAD = "POST {} HTTP/1.1\r\nHost: t\r\nContent-Type: {}\r\n"


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with open_stage() as opened:
        yield opened


@pytest.fixture
async def client(stage: Stage) -> AsyncIterator[RawClient]:
    async with stage.connected() as opened:
        yield opened


async def sent(client: RawClient, path: str, body: bytes, media_type: str, *headers: str) -> None:
    lines = "".join(f"{header}\r\n" for header in headers)
    head = f"{HEAD.format(path, media_type)}Content-Length: {len(body)}\r\n{lines}\r\n"
    await client.send(head.encode() + body)


@pytest.mark.parametrize("media_type", [NDJSON, ARRAY])
async def test_each_message_is_answered_before_the_next_is_sent(
    client: RawClient, media_type: str
) -> None:
    talk = Talk(client, media_type, NDJSON)
    await talk.begin("POST", "/v1/t/both")
    await talk.say("one")
    status, headers = await talk.head()
    assert (status, headers["content-type"]) == (200, NDJSON)
    assert json.loads(await talk.next_chunk())["text"] == "one"
    for text in ("two", "three"):
        await talk.say(text)
        assert json.loads(await talk.next_chunk())["text"] == text
    await talk.finish()
    assert await talk.next_chunk() == b""


async def test_a_request_that_is_there_in_whole_leaves_the_connection_open(
    client: RawClient,
) -> None:
    for _ in range(2):
        await sent(client, "/v1/t/both", b'{"text":"a"}\n', NDJSON)
        answer = await client.answer()
        assert (answer.status, answer.header("Connection")) == (200, None)


async def test_a_back_end_that_has_heard_enough_ends_the_exchange(stage: Stage) -> None:
    for path in ("up", "both"):
        async with stage.connected() as client:
            talk = Talk(client, NDJSON, NDJSON if path == "both" else ARRAY)
            await talk.begin("POST", f"/v1/enough/{path}")
            await talk.say("one")
            stage.backend.received.clear()
            seen = await talk.hear()
            assert (seen.status, seen.ending, len(seen.messages)) == (200, "end", 1)
            assert await client.closed()
    assert stage.endings.codes == [Code.OK, Code.OK]


@pytest.mark.parametrize("channel", CHANNELS)
async def test_a_bad_message_cancels_the_call_and_is_named(channel: str) -> None:
    async with open_stage(channel=channel) as stage, stage.connected() as client:
        talk = Talk(client, NDJSON, ARRAY)
        await talk.begin("POST", "/v1/t/up")
        await talk.say("one", "two")
        await talk.chunk(b'{"txt":"three"}\n')
        status, _ = await talk.head()
        assert status == 400
        await until(lambda: stage.endings.codes == [Code.INVALID_ARGUMENT])
        await until(lambda: not stage.backend.running)


async def test_a_bad_message_behind_answered_ones_is_the_last_record(client: RawClient) -> None:
    talk = Talk(client, NDJSON, NDJSON)
    await talk.begin("POST", "/v1/t/both")
    await talk.say("one")
    await talk.head()
    await talk.next_chunk()
    await talk.chunk(b"nonsense\n")
    record = json.loads(await talk.next_chunk())
    assert record["error"]["message"].startswith("message 2: ")


async def test_the_log_has_one_line_with_all_bytes(stage: Stage) -> None:
    body = b'{"text":"a"}\n' * 3
    async with stage.connected() as client:
        await sent(client, "/v1/t/both", body, NDJSON)
        answer = await client.answer()
    await until(lambda: bool(stage.log.read_text()))
    (line,) = stage.log.read_text().splitlines()
    entry = json.loads(line)
    assert (entry["http.response.status_code"], entry["rpc.response.status_code"]) == (200, "OK")
    assert entry["http.request.body.size"] == len(body)
    assert entry["http.response.body.size"] == len(answer.body)


async def test_gzip_is_unpacked_as_it_comes(client: RawClient) -> None:
    packer = zlib.compressobj(wbits=31)
    talk = Talk(client, NDJSON, NDJSON)
    await talk.begin("POST", "/v1/t/both", "Content-Encoding: gzip")
    await talk.chunk(packer.compress(b'{"text":"one"}\n') + packer.flush(zlib.Z_SYNC_FLUSH))
    await talk.head()
    assert json.loads(await talk.next_chunk())["text"] == "one"
    await talk.chunk(packer.compress(b'{"text":"two"}\n') + packer.flush())
    assert json.loads(await talk.next_chunk())["text"] == "two"
    await talk.finish()
    assert await talk.next_chunk() == b""


async def test_a_stream_is_not_bound_by_the_limit_of_a_body() -> None:
    async with open_stage(limits={"body_bytes": 100}) as stage, stage.connected() as client:
        await sent(client, "/v1/t/up", b'{"text":"0123456789"}\n' * 50, NDJSON)
        assert (await client.answer()).json()["number"] == 50


@pytest.mark.parametrize(
    ("limits", "body", "headers"),
    [
        pytest.param({"stream_message_bytes": 50}, b'{"text":"' + b"x" * 50, (), id="message"),
        pytest.param({"stream_bytes": 50}, b"{}\n" * 20, (), id="announced total"),
        pytest.param(
            {"stream_bytes": 50},
            gzip.compress(b"{}\n" * 20),
            ("Content-Encoding: gzip",),
            id="total",
        ),
        pytest.param(
            {"decompression_ratio": 5},
            gzip.compress(b"{}\n" * 100_000),
            ("Content-Encoding: gzip",),
            id="ratio",
        ),
    ],
)
async def test_what_a_client_can_make_large_has_a_limit(
    limits: dict[str, int], body: bytes, headers: tuple[str, ...]
) -> None:
    async with open_stage(limits=limits) as stage, stage.connected() as client:
        await sent(client, "/v1/t/up", body, NDJSON, *headers)
        assert (await client.answer()).status == 413
        await until(lambda: stage.endings.codes == [Code.RESOURCE_EXHAUSTED])


async def test_a_pause_between_messages_is_fine_but_not_within_one() -> None:
    async with open_stage(limits={"body_timeout_s": 0.3}) as stage:
        async with stage.connected() as client:
            talk = Talk(client, NDJSON, ARRAY)
            await talk.begin("POST", "/v1/t/up")
            await talk.say("one")
            await asyncio.sleep(0.8)
            await talk.say("two")
            await talk.finish()
            assert (await talk.hear()).messages[0]["number"] == 2
        async with stage.connected() as client:
            talk = Talk(client, NDJSON, ARRAY)
            await talk.begin("POST", "/v1/t/up")
            await talk.chunk(b'{"text":')
            assert (await talk.head())[0] == 408


async def test_a_stream_may_be_idle_for_so_long() -> None:
    rule = {"selector": "streams.v1.Streams.Both", "idle_s": 0.3}
    async with open_stage(deadlines={"methods": [rule]}) as stage, stage.connected() as client:
        talk = Talk(client, NDJSON, NDJSON)
        await talk.begin("POST", "/v1/t/both")
        for _ in range(4):
            await talk.say("one")
            await asyncio.sleep(0.15)
        seen = await talk.hear()
        assert (len(seen.messages), seen.ending) == (4, "DEADLINE_EXCEEDED")
        assert stage.endings.codes == [Code.DEADLINE_EXCEEDED]


async def test_a_stream_may_last_for_so_long_in_all() -> None:
    rule = {"selector": "streams.v1.Streams.*", "default_s": 0.4}
    async with open_stage(deadlines={"methods": [rule]}) as stage, stage.connected() as client:
        talk = Talk(client, NDJSON, ARRAY)
        await talk.begin("POST", "/v1/t/up")
        await talk.say("one")
        assert (await talk.head())[0] == 504
        assert stage.endings.codes == [Code.DEADLINE_EXCEEDED]


async def test_the_body_is_asked_for_once_the_guards_agree(client: RawClient) -> None:
    talk = Talk(client, NDJSON, ARRAY)
    await talk.begin("POST", "/v1/t/up", "Expect: 100-continue")
    assert (await talk.head())[0] == 100
    await talk.say("one")
    await talk.finish()
    assert (await talk.hear()).messages[0]["number"] == 1


async def test_a_quiet_stream_begins_its_answer_after_a_while() -> None:
    async with open_stage(streams={"head_after_s": 0.2}) as stage, stage.connected() as client:
        talk = Talk(client, NDJSON, EVENTS)
        await talk.begin("GET", "/v1/quiet/down")
        status, headers = await talk.head()
        assert (status, headers["content-type"]) == (200, EVENTS)
        assert stage.endings.codes == []


async def test_a_failure_behind_an_early_head_is_told_in_the_stream() -> None:
    async with open_stage(streams={"head_after_s": 0.2}) as stage, stage.connected() as client:
        talk = Talk(client, NDJSON, NDJSON)
        await talk.begin("POST", "/v1/early/both")
        assert (await talk.head())[0] == 200
        await talk.say("one")
        assert json.loads(await talk.next_chunk())["error"]["status"] == "NOT_FOUND"


class SlowToRefuse:
    """A guard that takes its time."""

    async def __call__(self, call: Call, proceed: Handler) -> Reply:
        await asyncio.sleep(0.5)
        raise StatusError(Code.PERMISSION_DENIED, "no")


async def test_a_refused_stream_has_a_status_however_long_the_guards_take() -> None:
    async with (
        open_stage(SlowToRefuse(), streams={"head_after_s": 0.1}) as stage,
        stage.connected() as client,
    ):
        assert (await client.get("/v1/quiet/down")).status == 403


async def test_a_client_that_leaves_while_it_is_held_back_is_noticed(stage: Stage) -> None:
    async with stage.connected() as client:
        talk = Talk(client, NDJSON, ARRAY)
        await talk.begin("POST", "/v1/hang/up")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(talk.say(*["x" * 50_000] * 4000), 0.6)
        reset(client.writer.transport)
        await until(lambda: stage.endings.codes == [Code.CANCELLED], within_s=1.0)
        await until(lambda: not stage.backend.running)


async def test_a_rule_without_a_body_takes_one_message_from_the_url(stage: Stage) -> None:
    async with stage.connected() as client:
        await sent(client, "/v1/t/bare?text=x", b"", NDJSON)
        assert (await client.answer()).json()["number"] == 1
        assert stage.backend.received[0].text == "x"
        await sent(client, "/v1/t/bare", b"{}", NDJSON)
        assert (await client.answer()).status == 400


async def test_aiohttp_speaks_and_listens_at_once(stage: Stage) -> None:
    heard: list[str] = []
    answered = asyncio.Event()

    async def speak() -> AsyncIterator[bytes]:
        for number in range(3):
            answered.clear()
            yield json.dumps({"text": str(number)}).encode() + b"\n"
            await answered.wait()

    async with (
        aiohttp.ClientSession(stage.gateway.url) as session,
        session.post("/v1/t/both", data=speak(), headers={"Content-Type": NDJSON}) as response,
    ):
        async for line in response.content:
            heard.append(json.loads(line)["text"])
            answered.set()
    assert heard == ["0", "1", "2"]


async def test_aiohttp_sees_that_a_protobuf_stream_was_cut(stage: Stage) -> None:
    async with aiohttp.ClientSession(stage.gateway.url) as session:
        response = await session.get("/v1/late/down", headers={"Accept": "application/x-protobuf"})
        assert response.status == 200
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()


async def test_http_1_0_sees_that_a_protobuf_stream_was_cut(client: RawClient) -> None:
    await client.send("GET /v1/late/down HTTP/1.0\r\nAccept: application/x-protobuf\r\n\r\n")
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(client.reader.read(), 5)


async def curl(*arguments: str, said: bytes = b"") -> tuple[int, bytes]:
    program = shutil.which("curl")
    if program is None:
        pytest.skip("needs curl: apt-get install curl")
    process = await asyncio.create_subprocess_exec(
        program,
        *("-sN", "--max-time", "10", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    heard, _ = await process.communicate(said)
    return process.returncode or 0, heard


async def test_curl_sends_a_stream_and_hears_one(stage: Stage) -> None:
    url = stage.gateway.url
    typed = ("-H", f"Content-Type: {NDJSON}", "-X", "POST", "-T", "-")
    code, heard = await curl(*typed, f"{url}/v1/t/both", said=b'{"text":"a"}\n{"text":"b"}\n')
    assert code == 0
    assert [json.loads(line)["text"] for line in heard.splitlines()] == ["a", "b"]
    assert (await curl(f"{url}/v1/late/down"))[0] == 0
    cut, _ = await curl("-H", "Accept: application/x-protobuf", f"{url}/v1/late/down")
    assert cut == 18, "a transfer that was cut has an exit status of its own"
