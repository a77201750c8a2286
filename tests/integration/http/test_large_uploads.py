"""A large raw body reaches the back end as it was sent, however it came, with what follows it."""

import base64
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from gateway.call import Call, Handler, Reply
from tests.support.http import RawClient
from tests.support.streaming import CHANNELS, Stage, open_stage
from tests.support.tls import Files, secured

BODY = random.Random(5).randbytes(900_001)
NEXT = b"GET /v1/next/once HTTP/1.1\r\nHost: test\r\n\r\n"


def upload(body: bytes = BODY, *headers: str, path: str = "/v1/cats/whole") -> bytes:
    """A request with a raw body, whose other fields come from the path and the query."""
    fields = "".join(f"{one}\r\n" for one in ("Content-Type: image/png", *headers))
    head = f"POST {path}?note=soft HTTP/1.1\r\nHost: test\r\n{fields}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def check_arrived(client: RawClient, body: bytes = BODY) -> None:
    """The next response repeats the whole message."""
    answer = await client.answer()
    assert answer.status == 200, answer.body
    seen = answer.json()
    assert base64.b64decode(seen["file"]["data"]) == body
    fields = (seen["file"]["contentType"], seen["topic"], seen["note"])
    assert fields == ("image/png", "cats", "soft")


async def check_streamed(client: RawClient, body: bytes = BODY) -> None:
    """The next response has the digest of what came in many messages."""
    answer = await client.answer()
    assert answer.status == 200, answer.body
    assert answer.json()["note"] == "soft"
    assert base64.b64decode(answer.json()["file"]["data"]) == sha256(body).digest()


@asynccontextmanager
async def stage(folder: Path, *, tls: bool, **settings: Any) -> AsyncIterator[RawClient]:
    """A client of a gateway, over TLS or not."""
    if not tls:
        async with open_stage(**settings) as opened, opened.connected() as client:
            yield client
        return
    files = Files(folder)
    async with (
        open_stage(tls=files.settings(), **settings) as opened,
        secured(opened.gateway, files.context()) as client,
    ):
        yield client


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize(
    ("path", "check"), [("/v1/cats/whole", check_arrived), ("/v1/cats/file", check_streamed)]
)
async def test_a_body_may_be_cut_anywhere_and_a_request_may_follow_it(
    tmp_path: Path, tls: bool, path: str, check: Callable[[RawClient], Awaitable[None]]
) -> None:
    rng = random.Random(tls)
    async with stage(tmp_path, tls=tls) as client:
        for most_bytes in (len(BODY), 400_000, 100_000, 20_000):
            sent = upload(path=path) + NEXT + upload(path=path) + NEXT
            while sent:
                size = rng.randint(1, most_bytes)
                await client.send(sent[:size])
                sent = sent[size:]
            for _ in range(2):
                await check(client)
                assert (await client.answer()).json()["topic"] == "next"


@pytest.mark.parametrize("size", [1, 16_000, 17_000, 32_768, 66_000, 131_073, 300_000])
async def test_a_body_of_any_size_arrives(tmp_path: Path, size: int) -> None:
    body = BODY[:size]
    async with stage(tmp_path, tls=False) as client:
        for first in (0, 1, size // 2, size - 1):
            head = len(upload(body)) - size
            await client.send(upload(body)[: head + first])
            await client.send(upload(body)[head + first :] + NEXT)
            await check_arrived(client, body)
            assert (await client.answer()).json()["topic"] == "next"


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("reads", [False, True])
async def test_an_interceptor_may_read_the_whole_message(channel: str, reads: bool) -> None:
    seen: list[bytes] = []

    async def read(call: Call, proceed: Handler) -> Reply:
        if reads:
            seen.append(await call.message())
            assert call.decoded is seen[-1]
        return await proceed(call)

    async with open_stage(read, channel=channel) as opened, opened.connected() as client:
        await client.send(upload())
        await check_arrived(client)
    assert [BODY in message for message in seen] == [True] * reads


async def test_a_client_that_waits_for_100_continue_gets_it() -> None:
    async with open_stage() as opened, opened.connected() as client:
        request = upload(BODY, "Expect: 100-continue")
        await client.send(request[: -len(BODY)])
        assert (await client.answer()).status == 100
        await client.send(BODY)
        await check_arrived(client)


async def lose(opened: Stage, sent_bytes: int) -> None:
    """Sends so much of a body, and leaves."""
    async with opened.connected() as client:
        await client.send(upload()[: -len(BODY) + sent_bytes])


async def test_a_client_that_leaves_amid_its_body_harms_nobody() -> None:
    async with open_stage() as opened:
        for sent_bytes in (0, 1, 70_000, 300_000, 900_000):
            await lose(opened, sent_bytes)
            async with opened.connected() as client:
                await client.send(upload())
                await check_arrived(client)
        assert len(opened.backend.metadata) == 5, "no call is made for an incomplete body"


async def test_a_body_over_the_limit_is_413_and_one_at_the_limit_is_not() -> None:
    async with open_stage(limits={"body_bytes": len(BODY)}) as opened:
        async with opened.connected() as client:
            await client.send(upload(BODY + b"1")[:5000])
            assert (await client.answer()).status == 413
        async with opened.connected() as client:
            await client.send(upload())
            await check_arrived(client)


async def test_a_client_that_stops_amid_its_body_is_408() -> None:
    async with open_stage(limits={"body_timeout_s": 0.3}) as opened, opened.connected() as client:
        await client.send(upload()[:500_000])
        assert (await client.answer()).status == 408
