"""Stored replies that are sent without a call: clients and logs see no difference."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cache.conftest import OpenCache
from tests.support.counting_backend import CachingGateway
from tests.support.http import Answer, RawClient, connected
from tests.support.polling import first

ITEM = "/v1/items/a?page_view=long"
OF_CALL = "Grpc-Timeout: 30S"
"""Asks for a deadline, which only a call has."""


async def known(gateway: CachingGateway, client: RawClient, *headers: str) -> list[Answer]:
    """Two answers to a request whose line is known: the first without a call, unlike the second."""
    for _ in range(3):
        await client.get(ITEM, *headers)
    assert gateway.backend.calls.total() == 1
    return [await client.get(ITEM, *headers), await client.get(ITEM, *headers, OF_CALL)]


def shown(answer: Answer) -> tuple[int, list[tuple[str, str]], bytes]:
    changing = ("X-Request-Id", "Age", "Cache-Status", "Date")
    headers = [(n, "" if n in changing else value) for n, value in answer.headers]
    return answer.status, headers, answer.body


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ("Accept: application/x-protobuf",),
        ("Accept: image/png",),
        ("Accept-Encoding: gzip",),
        ("Origin: https://pages.example",),
        ("X-Request-Id: one-1",),
        ("Cache-Control: no-store",),
        ("traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",),
    ],
    ids=str,
)
@pytest.mark.parametrize("size", [0, 5000, 100_000])
@pytest.mark.parametrize(
    "settings",
    [
        *({}, {"cors": {"origins": ["https://pages.example"]}}),
        {"metadata": {"grpc_status": True}},
    ],
)
async def test_a_stored_reply_is_the_same_with_and_without_a_call(
    open_cache: OpenCache, headers: tuple[str, ...], size: int, settings: dict[str, Any]
) -> None:
    gateway = await open_cache(**settings)
    gateway.backend.size = size
    gateway.backend.metadata = (("x-shelf", "7"), ("date", "Sun, 06 Nov 1994 08:49:37 GMT"))
    await gateway.get(ITEM)
    async with connected(gateway.gateway) as client:
        without, with_call = await known(gateway, client, *headers)
    assert shown(without) == shown(with_call)


@pytest.mark.parametrize("status", [200, 203, 204])
async def test_the_log_has_the_same_line_with_and_without_a_call(
    open_cache: OpenCache, tmp_path: Path, status: int
) -> None:
    log = tmp_path / "access.log"
    gateway = await open_cache(log={"access": str(log)})
    gateway.backend.metadata = (("x-http-code", str(status)),)
    async with connected(gateway.gateway) as client:
        await known(gateway, client)

    async def lines() -> list[dict[str, Any]]:
        return [json.loads(line) for line in log.read_text().splitlines()]

    both = (await first(lines, lambda found: len(found) == 5))[-2:]
    for line in both:
        # As machine code, a stored reply can take less than a microsecond, where the line is cut.
        assert 0 <= line.pop("http.server.request.duration") < 1
        for name in ("timestamp", "gateway.request.id"):
            assert line.pop(name)
    assert both[0] == both[1]
    assert both[0]["gateway.cache.result"] == "hit"
    assert both[0]["http.response.status_code"] == status


async def test_a_known_line_gets_what_is_stored_now(open_cache: OpenCache) -> None:
    gateway = await open_cache()
    async with connected(gateway.gateway) as client:
        old, _ = await known(gateway, client)
        assert (await client.get(ITEM.replace("long", "short"))).body != old.body
        await gateway.send("PATCH", "/v1/items/a")
        new = await client.get(ITEM)
        assert (new.header("Cache-Status"), new.body != old.body) == (
            "gateway; fwd=uri-miss; stored",
            True,
        )
        await client.send(f"HEAD {ITEM} HTTP/1.1\r\nHost: test\r\n\r\n")
        head = await client.answer(head_only=True)
        assert head.header("Content-Length") == str(len(new.body))


@pytest.mark.parametrize(
    ("header", "status"),
    [("If-None-Match: *", 304), ("Range: bytes=0-0", 200), ("Expect: 100-continue", 200)],
)
async def test_a_request_that_is_not_plain_has_its_call(
    open_cache: OpenCache, header: str, status: int
) -> None:
    gateway = await open_cache(policies=[{"selector": "shop.v1.Shop.GetItem", "etag": True}])
    async with connected(gateway.gateway) as client:
        await known(gateway, client)
        assert (await client.get(ITEM, header)).status == status


async def test_a_check_refuses_a_request_with_a_known_line(open_cache: OpenCache) -> None:
    rule = {"name": "no", "forbid_headers": {"X-Bad": "*"}}
    gateway = await open_cache(filters=[rule])
    async with connected(gateway.gateway) as client:
        without, _ = await known(gateway, client)
        refused = await client.get(ITEM, "X-Bad: 1")
    assert (without.status, refused.status) == (200, 403)


async def test_the_rate_of_a_connection_counts_them(open_cache: OpenCache) -> None:
    gateway = await open_cache(limits={"connection_requests_per_s": 5})
    async with connected(gateway.gateway) as client:
        answers = [await client.get(ITEM) for _ in range(5)]
        late = await client.get(ITEM)
    assert [one.status for one in (*answers, late)] == [200] * 5 + [429]


async def test_pipelined_requests_are_answered_in_order(open_cache: OpenCache) -> None:
    gateway = await open_cache()
    async with connected(gateway.gateway) as client:
        await known(gateway, client)
        gateway.backend.open.clear()
        request = "GET %s HTTP/1.1\r\nHost: test\r\n\r\n"
        await client.send(request % "/v1/items/other")
        await asyncio.sleep(0.05)
        await client.send(request % ITEM)
        await asyncio.sleep(0.05)
        gateway.backend.open.set()
        other, item = await client.answer(), await client.answer()
    assert (other.header("Age"), item.header("Age")) == (None, "0")
