"""Stale replies that the back end confirms with 304 (RFC 9111 section 4.3)."""

import asyncio
import time
from email.utils import formatdate, parsedate_to_datetime

import grpc
import pytest

from gateway.cache.tags import Purge, PurgeBy
from tests.integration.cache.conftest import OpenCache
from tests.support.counting_backend import CachingGateway
from tests.support.http import Answer
from tests.support.polling import until

GET = "shop.v1.Shop.GetItem"
ITEM = "/v1/items/a"
TAG = ("etag", '"v1"')
STALE = ("cache-control", "max-age=0")
FRESH = ("cache-control", "max-age=60")
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
NOT_MODIFIED = ("x-http-code", "304")


def dates(answer: Answer) -> list[str]:
    return [value for name, value in answer.headers if name == "Date"]


async def stale(gateway: CachingGateway, *metadata: tuple[str, str]) -> str:
    """Stores a reply that is stale at once; returns its body."""
    gateway.backend.metadata = (STALE, *metadata)
    answer = await gateway.get(ITEM)
    assert answer.status == 200
    return answer.body.decode()


@pytest.mark.parametrize(
    ("validator", "condition"),
    [
        (TAG, ("if-none-match", '"v1"')),
        (("etag", 'W/"v1"'), ("if-none-match", 'W/"v1"')),
        (("last-modified", DATE), ("if-modified-since", DATE)),
    ],
)
async def test_a_stale_reply_is_confirmed(
    gateway: CachingGateway, validator: tuple[str, str], condition: tuple[str, str]
) -> None:
    body = await stale(gateway, validator, ("x-old", "1"), ("x-new", "1"), ("date", DATE))
    gateway.backend.metadata = (NOT_MODIFIED, FRESH, ("x-new", "2"), ("etag", '"other"'))
    answer = await gateway.get(ITEM)
    assert (answer.status, answer.body.decode()) == (200, body)
    assert answer.header("Cache-Status") == "gateway; fwd=stale; fwd-status=304; stored"
    assert (answer.header("X-Old"), answer.header("X-New")) == ("1", "2")
    assert gateway.backend.seen[1][condition[0]] == condition[1]
    hit = await gateway.get(ITEM)
    assert (hit.status, hit.body.decode(), hit.header("X-New")) == (200, body, "2")
    assert (hit.header("Cache-Status") or "").startswith("gateway; hit")
    assert gateway.backend.calls.total() == 2
    if validator is TAG:  # the tag of another message does not replace that of this one
        assert hit.header("ETag") == '"v1"'


async def test_a_changed_reply_replaces_the_stale_one(gateway: CachingGateway) -> None:
    body = await stale(gateway, TAG)
    gateway.backend.metadata = (FRESH, ("etag", '"v2"'))
    for _ in range(2):
        answer = await gateway.get(ITEM)
        assert answer.body.decode() != body
        assert answer.header("ETag") == '"v2"'
    assert gateway.backend.calls.total() == 2


async def test_no_cache_is_confirmed_before_each_use(gateway: CachingGateway) -> None:
    body = await stale(gateway, TAG, ("cache-control", "no-cache"))
    gateway.backend.metadata = (NOT_MODIFIED,)
    for number in (2, 3):
        answer = await gateway.get(ITEM)
        assert (answer.status, answer.body.decode()) == (200, body)
        assert gateway.backend.calls.total() == number


async def test_the_condition_of_a_client_is_evaluated_on_the_confirmed_reply(
    gateway: CachingGateway,
) -> None:
    await stale(gateway, TAG)
    gateway.backend.metadata = (NOT_MODIFIED, FRESH)
    assert (await gateway.get(ITEM, 'If-None-Match: "v1"')).status == 304
    assert (await gateway.get(ITEM, 'If-None-Match: "v0"')).status == 200
    assert gateway.backend.seen[1]["if-none-match"] == '"v1"'
    assert gateway.backend.calls.total() == 2


async def test_confirmation_without_a_question_is_an_error(gateway: CachingGateway) -> None:
    gateway.backend.metadata = (NOT_MODIFIED, FRESH, TAG)
    answer = await gateway.get(ITEM)
    assert answer.status == 500
    assert "if-none-match" not in gateway.backend.seen[0]


async def test_a_stale_reply_is_not_confirmed_for_another_caller(guarded: CachingGateway) -> None:
    ada, bob = await guarded.key_of("users/ada", "read"), await guarded.key_of("users/bob", "read")
    guarded.backend.metadata = (STALE, TAG)
    await guarded.get("/v1/me", ada)
    guarded.backend.metadata = (FRESH, TAG)
    answer = await guarded.get("/v1/me", bob)
    assert b"users/bob" in answer.body
    assert "if-none-match" not in guarded.backend.seen[1]


async def test_a_dropped_reply_is_not_confirmed(gateway: CachingGateway) -> None:
    await stale(gateway, TAG)
    gateway.cache.drop([ITEM], ())
    gateway.backend.metadata = (FRESH, TAG)
    assert (await gateway.get(ITEM)).status == 200
    assert "if-none-match" not in gateway.backend.seen[1]


async def test_a_change_meanwhile_keeps_a_confirmed_reply_from_being_stored(
    gateway: CachingGateway,
) -> None:
    body = await stale(gateway, TAG)
    gateway.backend.metadata = (NOT_MODIFIED, FRESH)
    gateway.backend.open.clear()
    async with asyncio.TaskGroup() as running:
        asked = running.create_task(gateway.get(ITEM))
        await until(lambda: len(gateway.backend.seen) == 2)
        gateway.cache.drop([ITEM], ())
        gateway.backend.open.set()
    assert (asked.result().status, asked.result().body.decode()) == (200, body)
    gateway.backend.metadata = (FRESH, TAG)
    assert (await gateway.get(ITEM)).body.decode() != body
    assert "if-none-match" not in gateway.backend.seen[2]


@pytest.mark.parametrize("status", ["500", "502", "503", "504"])
async def test_a_stale_reply_replaces_the_status_of_a_failed_server(
    open_cache: OpenCache, status: str
) -> None:
    gateway = await open_cache(policies=[{"selector": GET, "cache": {"sie_s": 600}}])
    body = await stale(gateway, TAG)
    gateway.backend.metadata = (("x-http-code", status),)
    for _ in range(2):
        answer = await gateway.get(ITEM)
        assert (answer.status, answer.body.decode()) == (200, body)
        assert "; hit; ttl=-" in str(answer.header("Cache-Status"))  # RFC 9211 section 2.5
    gateway.backend.metadata = (NOT_MODIFIED, FRESH)  # it is back
    assert (await gateway.get(ITEM)).body.decode() == body
    assert "hit; ttl=5" in str((await gateway.get(ITEM)).header("Cache-Status"))


async def test_the_status_of_a_failed_server_is_sent_without_a_stale_reply(
    gateway: CachingGateway,
) -> None:
    await stale(gateway, TAG)
    gateway.backend.metadata = (("x-http-code", "503"),)
    assert (await gateway.get(ITEM)).status == 503
    gateway.backend.metadata = (FRESH,)
    assert (await gateway.get(ITEM)).status == 200
    assert "hit" in str((await gateway.get(ITEM)).header("Cache-Status"))


@pytest.mark.parametrize(
    ("metadata", "status"),
    [("max-age=0, must-revalidate", 504), ("no-cache", 504), ("max-age=0", 503)],
)
async def test_504_for_what_must_be_confirmed_by_a_back_end_that_is_away(
    gateway: CachingGateway, metadata: str, status: int
) -> None:
    body = await stale(gateway, ("cache-control", metadata), TAG)
    assert gateway.backend.stop is not None
    await gateway.backend.stop()
    answer = await gateway.get(ITEM)
    assert (answer.status, answer.json()["error"]["status"]) == (status, "UNAVAILABLE")
    assert body.encode() not in answer.body


async def test_a_failure_of_a_back_end_that_answers_keeps_its_status(
    gateway: CachingGateway,
) -> None:
    await stale(gateway, ("cache-control", "no-cache"), TAG)
    gateway.backend.fails = grpc.StatusCode.UNAVAILABLE
    assert (await gateway.get(ITEM)).status == 503


async def test_date_is_that_of_the_stored_reply(gateway: CachingGateway) -> None:
    gateway.backend.metadata = (FRESH, ("date", DATE))
    for _ in range(2):
        answer = await gateway.get(ITEM)
        assert dates(answer) == [DATE]
    assert dates(await gateway.get(ITEM, "If-None-Match: *")) == [DATE]
    head = await gateway.send("HEAD", ITEM, "")
    assert dates(head) == [DATE]


async def test_a_confirmed_reply_without_a_date_has_that_of_its_confirmation(
    gateway: CachingGateway,
) -> None:
    # A date of before would make it old for clients, and `expires` of now a time far ahead.
    await stale(gateway, TAG, ("date", DATE))
    soon = formatdate(time.time() + 100, usegmt=True)
    gateway.backend.metadata = (NOT_MODIFIED, ("cache-control", "public"), ("expires", soon))
    for _ in range(2):
        answer = await gateway.get(ITEM)
        (date,) = dates(answer)
        made_s = parsedate_to_datetime(date).timestamp()
        assert time.time() - 60 < made_s <= time.time()
    left_s = int((answer.header("Cache-Status") or "").rpartition("ttl=")[2])
    assert 0 < left_s <= 100


@pytest.mark.parametrize("answers", ["304", "the same again"])
async def test_what_was_made_of_an_equal_reply_is_kept(
    gateway: CachingGateway, answers: str
) -> None:
    gateway.backend.text = "same"
    await stale(gateway, TAG)
    gateway.backend.metadata = (FRESH, TAG, ("date", DATE))
    await gateway.get(ITEM)
    (entry,) = gateway.cache.memory._entries.values()
    assert entry.forms is not None
    await gateway.get(ITEM)
    (made,) = entry.forms.made.values()
    gateway.cache.purge(Purge(PurgeBy.ALL, soft=True))
    later = ("date", "Mon, 07 Nov 1994 08:49:37 GMT")
    same = (FRESH, TAG, later)
    gateway.backend.metadata = (NOT_MODIFIED, *same) if answers == "304" else same
    for _ in range(2):
        answer = await gateway.get(ITEM)
        assert (answer.status, dates(answer)) == (200, [later[1]])
    (entry,) = gateway.cache.memory._entries.values()
    assert entry.forms is not None
    assert list(entry.forms.made.values()) == [made]
    assert gateway.backend.calls.total() == 3
