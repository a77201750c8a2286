"""The life of a reply, by its metadata and its method's rule."""

import pytest

from gateway.cache.freshness import Times, dated, kept_metadata, times_of, with_vary
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
    ends = (1050.0, 1050.0, 1050.0)
    expected = Times(1000.0, *ends, may_be_stale=False)
    assert times(("cache-control", f"max-age=50, {word}")) == expected


def test_expires_is_compared_with_the_clock() -> None:
    assert times(("expires", "Thu, 01 Jan 1970 00:01:00 GMT")) == Times(1000, 1060, 1070, 1080)
    assert times(("expires", "soon"), rule=CacheRule(ttl_s=9)) is None


def test_expires_is_compared_with_the_date_of_the_reply() -> None:
    expires = ("expires", "Thu, 01 Jan 1970 00:01:00 GMT")
    of_date = times(expires, ("date", "Thu, 01 Jan 1970 00:00:50 GMT"))
    assert of_date is not None
    assert of_date.fresh_until_s == 1010
    past = times(expires, ("date", "Thu, 01 Jan 1970 00:02:00 GMT"))
    assert past is not None
    assert past.fresh_until_s == 1000


@pytest.mark.parametrize(
    "date",
    [
        "Thu, 01 Jan 70 00:01:00 GMT", "Thu 01 Jan 1970 00:01:00 GMT", "0", "-1", "",
        "Thu, 01-Jan-1970 00:01:00 GMT", "Thu, 01 Jan 1970 0:01:00 GMT",
        "Thu, 01 Jan 1970 00:01:00 UTC", "Thu,  01 Jan 1970 00:01:00 GMT",
    ],
)  # fmt: skip
def test_a_malformed_date_has_expired(date: str) -> None:
    assert times(("expires", date), rule=CacheRule(ttl_s=9)) is None


@pytest.mark.parametrize("age", ["x", "-1", "1.5", ""])
def test_a_malformed_age_is_ignored(age: str) -> None:
    assert times(("age", age)) == times()
    assert times(("age", "7, 100")) == times(("age", "7"))


def test_a_reply_with_a_validator_is_kept_to_be_confirmed() -> None:
    for validator in (("etag", '"a"'), ("last-modified", "Thu, 01 Jan 1970 00:00:00 GMT")):
        kept = times(validator, ("cache-control", "max-age=5"))
        assert kept is not None
        assert (kept.fresh_until_s, kept.kept_until_s) == (1005.0, 4605.0)
        always = times(validator, ("cache-control", "max-age=5, no-cache"))
        assert always is not None
        assert (always.fresh_until_s, always.swr_until_s, always.sie_until_s) == (1000.0,) * 3
        assert times(validator, ("cache-control", "max-age=5, no-store")) is None
    assert times(("cache-control", "no-cache, max-age=5")) is None


def test_a_targeted_field_stands_for_cache_control_and_expires() -> None:
    def targeted(*metadata: tuple[str, str]) -> Times | None:
        names = ("gateway-cache-control", "cdn-cache-control")
        return times_of(list(metadata), RULE, 1000.0, 0.0, names)

    never, soon = ("cache-control", "no-store"), ("expires", "0")
    assert targeted(never, soon, ("cdn-cache-control", "max-age=5")) == times(
        ("cache-control", "max-age=5")
    )
    both = ("cdn-cache-control", "max-age=5"), ("gateway-cache-control", "max-age=6")
    assert targeted(*both) == times(("cache-control", "max-age=6"))
    assert targeted(("cdn-cache-control", "no-store"), ("cache-control", "max-age=6")) is None
    for malformed in ('max-age="5"', "max-age=5, &&", "MAX-AGE=5", "", "max-age=5,", "max-age"):
        assert targeted(never, ("cdn-cache-control", malformed)) is None


def test_a_reply_without_a_right_date_gets_that_of_the_call() -> None:
    right = ("date", "Thu, 01 Jan 1970 00:00:50 GMT")
    assert dated([right], 1.0) == [right]
    assert dated([("date", "never"), ("a", "b")], 50.0) == [("a", "b"), right]


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
