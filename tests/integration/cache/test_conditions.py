"""Conditional requests (RFC 9110 section 13): entity tags of the gateway and of back ends."""

import grpc
import pytest

from tests.integration.cache.conftest import OpenCache
from tests.support.counting_backend import CachingGateway

PLAIN = "/v1/plain"
GZIP = "Accept-Encoding: gzip"
PROTOBUF = "Accept: application/x-protobuf"
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.fixture
async def tagged(open_cache: OpenCache) -> CachingGateway:
    """A gateway that stores nothing of Plain, but gives its responses entity tags."""
    gateway = await open_cache(policies=[{"selector": "shop.v1.Shop.Plain", "etag": True}])
    gateway.backend.text = "x" * 2000
    return gateway


async def tag_of(gateway: CachingGateway, target: str, *headers: str) -> str:
    answer = await gateway.get(target, *headers)
    assert answer.status == 200
    tag = answer.header("ETag")
    assert tag is not None
    assert tag.startswith('"')
    return tag


async def test_each_representation_has_a_tag_of_its_own(tagged: CachingGateway) -> None:
    kinds = [(), (GZIP,), (PROTOBUF,), (PROTOBUF, GZIP)]
    plain, packed, binary, binary_too = [await tag_of(tagged, PLAIN, *kind) for kind in kinds]
    assert len({plain, packed, binary}) == 3
    assert binary == binary_too  # protobuf is not compressed
    tagged.backend.text = "y" * 2000
    assert await tag_of(tagged, PLAIN) != plain


@pytest.mark.parametrize("kind", [(), (GZIP,), (PROTOBUF,)])
async def test_304_for_the_representation_that_the_client_has(
    tagged: CachingGateway, kind: tuple[str, ...]
) -> None:
    tagged.backend.metadata = (
        ("cache-control", "private, max-age=5"),
        ("content-location", "/v1/plain"),
        ("content-language", "de"),
        ("expires", DATE),
        ("last-modified", DATE),
    )
    tag = await tag_of(tagged, PLAIN, *kind)
    for condition in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        answer = await tagged.get(PLAIN, *kind, f"If-None-Match: {condition}")
        assert (answer.status, answer.body) == (304, b"")
        assert answer.header("ETag") == tag or condition == "*"
        assert answer.header("Cache-Control") == "private, max-age=5"
        assert answer.header("Content-Location") == "/v1/plain"
        assert answer.header("Expires") == DATE
        assert "Accept" in (answer.header("Vary") or "")
        assert answer.header("Date") is not None
        for absent in ("Content-Type", "Content-Length", "Content-Language", "Last-Modified"):
            assert answer.header(absent) is None


async def test_the_tag_of_another_representation_is_no_match(tagged: CachingGateway) -> None:
    plain, packed = await tag_of(tagged, PLAIN), await tag_of(tagged, PLAIN, GZIP)
    assert (await tagged.get(PLAIN, f"If-None-Match: {packed}")).status == 200
    assert (await tagged.get(PLAIN, PROTOBUF, f"If-None-Match: {plain}")).status == 200
    assert (await tagged.get(PLAIN, "If-None-Match: not a tag")).status == 200


async def test_head_is_answered_like_get(tagged: CachingGateway) -> None:
    tag = await tag_of(tagged, PLAIN)
    assert (await tagged.send("HEAD", PLAIN, "")).header("ETag") == tag
    assert (await tagged.send("HEAD", PLAIN, "", f"If-None-Match: {tag}")).status == 304


async def test_if_match_is_412_for_another_tag(tagged: CachingGateway) -> None:
    tag, packed = await tag_of(tagged, PLAIN), await tag_of(tagged, PLAIN, GZIP)
    for right in (tag, packed, f'"other", {tag}', "*"):
        assert (await tagged.get(PLAIN, f"If-Match: {right}")).status == 200
    for wrong in ('"other"', f"W/{tag}", "not a tag"):  # the comparison is strong
        answer = await tagged.get(PLAIN, f"If-Match: {wrong}")
        assert answer.status == 412
        assert b"If-Match names no entity tag" in answer.body
    # RFC 9110 section 13.2.2: If-Match comes first.
    both = ('If-Match: "other"', f"If-None-Match: {tag}")
    assert (await tagged.get(PLAIN, *both)).status == 412


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        (f"If-Modified-Since: {DATE}", 304),
        ("If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT", 304),
        ("If-Modified-Since: Sun Nov  6 08:49:37 1994", 304),
        ("If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT", 200),
        ("If-Modified-Since: yesterday", 200),
        (f'If-Modified-Since: {DATE}\r\nIf-None-Match: "other"', 200),
        (f"If-Unmodified-Since: {DATE}", 200),
        ("If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT", 412),
        ("If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\nIf-Match: *", 200),
    ],
)
async def test_dates_are_compared_with_last_modified(
    tagged: CachingGateway, condition: str, status: int
) -> None:
    tagged.backend.metadata = (("last-modified", DATE),)
    assert (await tagged.get(PLAIN, condition)).status == status


async def test_the_tag_of_a_back_end_is_kept_and_reaches_it_again(tagged: CachingGateway) -> None:
    tagged.backend.metadata = (("etag", '"v1"'),)
    assert await tag_of(tagged, PLAIN) == '"v1"'
    packed = await tag_of(tagged, PLAIN, GZIP)
    assert packed == '"v1;gzip"'
    assert (await tagged.get(PLAIN, GZIP, f"If-None-Match: {packed}")).status == 304
    assert (await tagged.get(PLAIN, f"If-Match: {packed}")).status == 200
    assert tagged.backend.seen[-1]["if-match"] == '"v1"'
    await tagged.send("PATCH", "/v1/items/a", "{}", f"If-Match: {packed}")
    assert tagged.backend.seen[-1]["if-match"] == '"v1"'


async def test_stored_replies_answer_conditions_too(gateway: CachingGateway) -> None:
    tag = await tag_of(gateway, "/v1/items/a")
    answer = await gateway.get("/v1/items/a", f"If-None-Match: {tag}")
    assert answer.status == 304
    assert answer.header("Age") == "0"
    assert gateway.backend.calls["GetItem"] == 1


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        (f"If-Modified-Since: {DATE}", 304),
        ("If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT", 200),
        ("If-Modified-Since: yesterday", 200),
        (f'If-Modified-Since: {DATE}\r\nIf-None-Match: "other"', 200),
    ],
)
async def test_dates_are_compared_with_that_of_a_stored_reply(
    gateway: CachingGateway, condition: str, status: int
) -> None:
    gateway.backend.metadata = (("date", DATE),)
    # The first reply is not stored yet: nobody knows when it was modified.
    for expected in (200, status, status):
        answer = await gateway.get("/v1/items/a", condition)
        assert (answer.status, answer.header("Date")) == (expected, DATE)
    head = await gateway.send("HEAD", "/v1/items/a", "", condition)
    assert (head.status, gateway.backend.calls.total()) == (status, 1)


async def test_last_modified_comes_before_the_date_of_a_stored_reply(
    gateway: CachingGateway,
) -> None:
    earlier = "Sun, 06 Nov 1994 08:49:36 GMT"
    gateway.backend.metadata = (("date", DATE), ("last-modified", earlier))
    await gateway.get("/v1/items/a")
    assert (await gateway.get("/v1/items/a", f"If-Modified-Since: {earlier}")).status == 304


async def test_the_date_of_a_reply_that_is_not_stored_is_no_time_of_change(
    tagged: CachingGateway,
) -> None:
    tagged.backend.metadata = (("date", DATE),)
    for _ in range(2):
        assert (await tagged.get(PLAIN, f"If-Modified-Since: {DATE}")).status == 200


async def test_failures_ignore_conditions(tagged: CachingGateway) -> None:
    tagged.backend.fails = grpc.StatusCode.NOT_FOUND
    assert (await tagged.get(PLAIN, 'If-Match: "other"')).status == 404
    answer = await tagged.get(PLAIN, "If-None-Match: *")
    assert (answer.status, answer.header("ETag")) == (404, None)


async def test_tags_are_an_option(open_cache: OpenCache) -> None:
    policies = [{"selector": "shop.v1.Shop.GetItem", "etag": False}]
    gateway = await open_cache(policies=policies)
    for target in ("/v1/items/a", PLAIN):
        answer = await gateway.get(target, "If-None-Match: *")
        assert (answer.status, answer.header("ETag")) == (200, None)
