"""The life of a reply, by its metadata and its method's rule."""

import pytest

from gateway.cache.freshness import Times, kept_metadata, times_of, with_vary
from gateway.call import Metadata
from gateway.config.cache import CacheRule

RULE = CacheRule(ttl_s=100, swr_s=10, sie_s=20)


def times(*metadata: tuple[str, str], rule: CacheRule = RULE) -> Times | None:
    return times_of(list(metadata), rule, 1000.0, 0.0)


def test_the_rule_decides_where_the_back_end_says_nothing() -> None:
    assert times() == Times(1000.0, 1100.0, 1110.0, 1120.0)
    assert times(rule=CacheRule(swr_s=5)) is None


def test_the_back_end_is_stronger_and_its_age_counts() -> None:
    stated = ("cache-control", "max-age=50, stale-while-revalidate=1, stale-if-error=2")
    assert times(stated, ("age", "30")) == Times(970.0, 1020.0, 1021.0, 1022.0)


@pytest.mark.parametrize("word", ["must-revalidate", "proxy-revalidate", "s-maxage=50"])
def test_some_replies_are_never_sent_stale(word: str) -> None:
    assert times(("cache-control", f"max-age=50, {word}")) == Times(1000.0, 1050.0, 1050.0, 1050.0)


def test_expires_is_compared_with_the_clock() -> None:
    assert times(("expires", "Thu, 01 Jan 1970 00:01:00 GMT")) == Times(1000, 1060, 1070, 1080)
    assert times(("expires", "soon"), rule=CacheRule(ttl_s=9)) is None


@pytest.mark.parametrize("age", ["x", "-1", "1.5", ""])
def test_a_reply_of_unknown_age_is_not_stored(age: str) -> None:
    assert times(("age", age)) is None


def test_metadata_of_one_connection_or_request_is_not_stored() -> None:
    metadata: Metadata = [
        ("connection", "x-hop"), ("x-hop", "1"), ("te", "a"), ("age", "1"), ("x-request-id", "1"),
        ("grpc-message", "a"), ("content-length", "1"), ("etag", '"a"'), ("x-a-bin", b"a"),
    ]  # fmt: skip
    assert kept_metadata(metadata) == [("etag", '"a"'), ("x-a-bin", b"a")]


def test_vary_names_what_the_rule_does() -> None:
    rule = CacheRule(vary=("accept-language", "x-tenant"))
    assert with_vary([("vary", "Accept-Language")], rule)[1:] == [("vary", "x-tenant")]
    assert with_vary([("vary", "x-tenant, accept-language")], rule)[1:] == []
