"""Stored replies: which calls they answer, for how long, and what clients see of it."""

import asyncio

import grpc
import pytest

from gateway.call import Call, Handler, Reply
from gateway.http.header_fields import NO_FIELDS
from gateway.http.messages import Request
from gateway.policy.options import PolicyError
from tests.integration.cache.conftest import OpenCache
from tests.support.counting_backend import CachingGateway
from tests.support.http import Answer, connected
from tests.support.polling import first, until

GET = "shop.v1.Shop.GetItem"


def status(answer: Answer) -> str:
    return answer.header("Cache-Status") or ""


def rule(**keys: object) -> list[dict[str, object]]:
    return [{"selector": GET, "cache": keys}]


async def test_a_second_call_is_answered_without_the_back_end(gateway: CachingGateway) -> None:
    one, two = await gateway.get("/v1/items/a"), await gateway.get("/v1/items/a")
    assert one.body == two.body
    assert gateway.backend.calls["GetItem"] == 1
    assert (status(one), one.header("Age")) == ("gateway; fwd=uri-miss; stored", None)
    assert status(two).startswith("gateway; hit; ttl=5")
    assert two.header("Age") == "0"
    assert one.header("X-Request-Id") != two.header("X-Request-Id")


async def test_a_stored_reply_is_sent_without_a_wait(gateway: CachingGateway) -> None:
    exchange = gateway.gateway.exchange
    for _ in range(3):  # then it is known by its request line
        await gateway.get("/v1/items/a")
        answer = exchange.answer(Request("GET", "/v1/items/a", NO_FIELDS, "127.0.0.1"))
        with pytest.raises(StopIteration) as done:
            answer.send(None)  # to its first wait
        response = done.value.value
        assert (response.status, gateway.backend.calls.total()) == (200, 1)


async def test_each_request_gets_a_head_of_its_own_from_one_stored_reply(
    open_cache: OpenCache,
) -> None:
    pages = ["https://a.example", "https://b.example", "https://c.example", "https://evil.example"]
    gateway = await open_cache(cors={"origins": pages[:3]}, metadata={"grpc_status": True})
    ids = set()
    for page in [*pages, *pages[:2] * 3, *pages, ""]:
        answer = await gateway.get("/v1/items/a", *([f"Origin: {page}"] if page else []))
        allowed = page if page in pages[:3] else None
        assert answer.header("Access-Control-Allow-Origin") == allowed, page
        assert answer.header("grpc-status") == "0"
        assert answer.header("X-Content-Type-Options") == "nosniff"
        ids.add(answer.header("X-Request-Id"))
    assert (len(ids), gateway.backend.calls["GetItem"]) == (15, 1)


class InTask:
    """Passes calls on in a task, as an interceptor of one's own may."""

    async def __call__(self, call: Call, proceed: Handler) -> Reply:
        reply: Reply = await asyncio.create_task(proceed(call))  # type: ignore[arg-type]
        reply.metadata.append(("x-seen", call.cache_result))
        return reply


async def test_an_interceptor_sees_a_stored_reply_like_any_other(open_cache: OpenCache) -> None:
    name = f"{InTask.__module__}:{InTask.__qualname__}"
    gateway = await open_cache(interceptors=[{"use": name}])
    seen = [(await gateway.get("/v1/items/a")).header("x-seen") for _ in range(4)]
    assert seen == ["miss", "hit", "hit", "hit"]
    assert gateway.backend.calls["GetItem"] == 1


async def test_one_reply_serves_json_protobuf_and_head(gateway: CachingGateway) -> None:
    await gateway.get("/v1/items/a")
    protobuf = await gateway.get("/v1/items/a", "Accept: application/x-protobuf")
    assert protobuf.header("Content-Type") == "application/x-protobuf"
    head = await gateway.send("HEAD", "/v1/items/a", "")
    assert (head.status, status(head)[:12]) == (200, "gateway; hit")
    assert gateway.backend.calls["GetItem"] == 1


async def test_nothing_is_stored_of_a_method_that_does_not_ask_for_it(
    gateway: CachingGateway,
) -> None:
    for _ in range(2):
        answer = await gateway.get("/v1/plain?name=a")
        assert answer.header("Cache-Status") is None
    assert gateway.backend.calls["Plain"] == 2


@pytest.mark.parametrize(
    "spelling",
    [
        "/v1/items/a?size=3&pageView=x",
        "/v1/items/a?pageView=x&size=3",
        "/v1/items/a?page_view=x&size=3",
        "/v1/items/%61?size=%33&pageView=x",
        "/v1/named?name=items/a&size=3&pageView=x",
    ],
)
async def test_the_spelling_of_a_request_has_no_say(gateway: CachingGateway, spelling: str) -> None:
    await gateway.get("/v1/items/a?pageView=x&size=3")
    assert "hit" in status(await gateway.get(spelling))
    assert gateway.backend.calls["GetItem"] == 1


async def test_a_default_that_is_spelled_out_has_no_say(gateway: CachingGateway) -> None:
    await gateway.get("/v1/items/a")
    assert "hit" in status(await gateway.get("/v1/items/a?size=0&pageView="))


async def test_other_messages_have_other_replies(gateway: CachingGateway) -> None:
    await gateway.get("/v1/items/a")
    for target in ("/v1/items/b", "/v1/items/a?size=1", "/v1/items/a?pageView=x"):
        assert "miss" in status(await gateway.get(target))
    assert gateway.backend.calls["GetItem"] == 4


async def test_a_post_without_side_effects_has_its_whole_message_in_the_key(
    gateway: CachingGateway,
) -> None:
    bodies = [
        '{"size": 1, "more": {"a": "1", "b": "2"}}',
        '{"more": {"b": "2", "a": "1"}, "size": 1, "pageView": ""}',
        '{"size": 2}',
    ]
    answers = [await gateway.send("POST", "/v1/items:search", body) for body in bodies]
    assert ["hit" in status(one) for one in answers] == [False, True, False]
    assert answers[1].header("Age") is None
    assert gateway.backend.calls["Search"] == 2


@pytest.mark.parametrize(
    "metadata",
    [
        [("cache-control", "no-store")],
        [("cache-control", "Private")],
        [("cache-control", 'private="x-a"')],
        [("cache-control", "no-cache")],
        [("cache-control", "max-age=0")],
        [("cache-control", "max-age=60, max-age=30")],
        [("cache-control", "max-age=-1")],
        [("cache-control", "max-age=ten")],
        [("cache-control", "s-maxage=0, max-age=60")],
        [("cache-control", 'max-age=60, "')],
        [("cache-control", "max-age=60"), ("age", "60")],
        [("expires", "0")],
        [("expires", "Thu, 01 Jan 1970 00:00:00 GMT")],
        [("set-cookie", "a=b")],
        [("vary", "x-tenant")],
        [("vary", "accept, *")],
        [("x-http-code", "206")],
        [("x-http-code", "404")],
    ],
    ids=str,
)
async def test_what_the_back_end_forbids_is_not_stored(
    gateway: CachingGateway, metadata: list[tuple[str, str]]
) -> None:
    gateway.backend.metadata = tuple(metadata)
    for _ in range(2):
        assert "hit" not in status(await gateway.get("/v1/items/a"))
    assert gateway.backend.calls["GetItem"] == 2


@pytest.mark.parametrize(
    ("metadata", "ttl"),
    [
        ([("cache-control", "max-age=60")], (55, 60)),
        ([("cache-control", "max-age=9, s-maxage=70")], (65, 70)),
        ([("cache-control", 'MAX-AGE="60"'), ("age", "20")], (35, 40)),
        ([("expires", "Fri, 31 Dec 9999 23:59:59 GMT")], (2**31 - 60, 2**31)),
    ],
    ids=str,
)
async def test_the_back_end_says_how_long_a_reply_is_fresh(
    gateway: CachingGateway, metadata: list[tuple[str, str]], ttl: tuple[int, int]
) -> None:
    gateway.backend.metadata = tuple(metadata)
    one, two = await gateway.get("/v1/items/a"), await gateway.get("/v1/items/a")
    stated = int(status(two).partition("ttl=")[2])
    assert ttl[0] <= stated <= ttl[1]
    assert int(two.header("Age") or "") >= int(dict(metadata).get("age", "0"))
    assert one.header("Cache-Control") == two.header("Cache-Control")


async def test_failures_are_not_stored(gateway: CachingGateway) -> None:
    gateway.backend.fails = grpc.StatusCode.NOT_FOUND
    for _ in range(2):
        answer = await gateway.get("/v1/items/a")
        assert (answer.status, answer.header("Cache-Status")) == (404, None)
    gateway.backend.fails = None
    assert (await gateway.get("/v1/items/a")).status == 200
    assert gateway.backend.calls["GetItem"] == 3


async def test_no_store_and_only_if_cached_are_obeyed(gateway: CachingGateway) -> None:
    only = "Cache-Control: only-if-cached"
    answer = await gateway.get("/v1/items/a", only)
    assert (answer.status, gateway.backend.calls["GetItem"]) == (504, 0)
    assert "only-if-cached" in answer.json()["error"]["message"]
    await gateway.get("/v1/items/a", "Cache-Control: max-age=5", "Cache-Control: no-store")
    assert (await gateway.get("/v1/items/a", only)).status == 504
    await gateway.get("/v1/items/a")
    assert (await gateway.get("/v1/items/a", only)).status == 200


async def test_clients_cannot_force_a_call_unless_the_policy_lets_them(
    gateway: CachingGateway, open_cache: OpenCache
) -> None:
    await gateway.get("/v1/items/a")
    assert "hit" in status(await gateway.get("/v1/items/a", "Cache-Control: no-cache"))
    obeys = await open_cache(policies=rule(request_control=True))
    await obeys.get("/v1/items/a")
    for control in ("no-cache", "min-fresh=601"):
        answer = await obeys.get("/v1/items/a", f"Cache-Control: {control}")
        assert status(answer) == "gateway; fwd=request; stored"
    assert "hit" in status(await obeys.get("/v1/items/a", "Cache-Control: max-age=500"))


async def test_a_stale_reply_is_sent_while_one_call_fetches_a_new_one(
    open_cache: OpenCache,
) -> None:
    gateway = await open_cache(policies=rule(ttl_s=0.05, swr_s=600))
    old = await gateway.get("/v1/items/a")
    gateway.backend.open.clear()
    await asyncio.sleep(0.06)
    for _ in range(3):
        stale = await gateway.get("/v1/items/a")
        assert stale.body == old.body
        assert "; hit; ttl=" in status(stale)
    await until(lambda: gateway.backend.calls["GetItem"] == 2)
    gateway.backend.open.set()
    new = await first(lambda: gateway.get("/v1/items/a"), lambda one: one.body != old.body)
    assert new.status == 200


async def test_a_stale_reply_is_sent_if_the_back_end_fails(open_cache: OpenCache) -> None:
    gateway = await open_cache(policies=rule(ttl_s=0.05, sie_s=600))
    old = await gateway.get("/v1/items/a")
    await asyncio.sleep(0.06)
    gateway.backend.fails = grpc.StatusCode.UNAVAILABLE
    stale = await gateway.get("/v1/items/a")
    assert (stale.status, stale.body) == (200, old.body)
    gateway.backend.fails = grpc.StatusCode.PERMISSION_DENIED
    assert (await gateway.get("/v1/items/a")).status == 403


async def test_a_reply_that_must_be_revalidated_is_not_sent_stale(open_cache: OpenCache) -> None:
    gateway = await open_cache(policies=rule(ttl_s=600, sie_s=600, swr_s=600))
    gateway.backend.metadata = (("cache-control", "max-age=1, must-revalidate"),)
    await gateway.get("/v1/items/a")
    gateway.backend.fails = grpc.StatusCode.UNAVAILABLE
    late = await first(lambda: gateway.get("/v1/items/a"), lambda one: one.status != 200)
    assert late.status == 503


async def test_a_large_reply_is_not_stored(open_cache: OpenCache) -> None:
    gateway = await open_cache(cache={"max_entry_bytes": 1000})
    gateway.backend.size = 1000
    for _ in range(2):
        assert "stored" not in status(await gateway.get("/v1/items/a"))
    assert gateway.backend.calls["GetItem"] == 2


async def test_vary_keeps_languages_apart_and_lets_them_through(open_cache: OpenCache) -> None:
    gateway = await open_cache(policies=rule(vary=["Accept-Language"]))
    gateway.backend.metadata = (("vary", "accept-language"),)
    german = await gateway.get("/v1/items/a", "Accept-Language: de,  en")
    assert "accept-language=de, en" in german.body.decode()
    assert next(v for n, v in german.headers if n.lower() == "vary") == "accept-language"
    assert "hit" in status(await gateway.get("/v1/items/a", "Accept-Language: DE, en"))
    assert "miss" in status(await gateway.get("/v1/items/a", "Accept-Language: fr"))
    assert "miss" in status(await gateway.get("/v1/items/a"))


async def test_cache_status_can_be_turned_off(open_cache: OpenCache) -> None:
    gateway = await open_cache(cache={"status": False})
    await gateway.get("/v1/items/a")
    hit = await gateway.get("/v1/items/a")
    assert (hit.header("Age"), hit.header("Cache-Status")) == ("0", None)


async def test_a_thousand_clients_of_one_cold_key_make_one_call(open_cache: OpenCache) -> None:
    gateway = await open_cache(cache={"collapse_wait_s": 60})
    asked: list[tuple[str, str]] = []
    gateway.cache.count = asked.append
    gateway.backend.open.clear()
    asking = [asyncio.create_task(gateway.get("/v1/items/a")) for _ in range(1000)]
    await until(lambda: gateway.backend.calls["GetItem"])
    gateway.backend.open.set()
    answers = await asyncio.gather(*asking)
    assert gateway.backend.calls["GetItem"] == 1
    assert len({one.body for one in answers}) == 1
    assert {one.status for one in answers} == {200}
    assert len(asked) == len(answers)
    assert [result for _, result in asked].count("miss") == 1


async def test_those_who_wait_get_the_failure_of_the_server(gateway: CachingGateway) -> None:
    gateway.backend.open.clear()
    gateway.backend.fails = grpc.StatusCode.UNAVAILABLE
    asking = [asyncio.create_task(gateway.get("/v1/items/a")) for _ in range(10)]
    await until(lambda: gateway.backend.calls["GetItem"])
    await asyncio.sleep(0.2)  # for those that are on their way
    gateway.backend.open.set()
    assert {one.status for one in await asyncio.gather(*asking)} == {503}
    assert gateway.backend.calls["GetItem"] <= 2
    gateway.backend.fails = None
    assert (await gateway.get("/v1/items/a")).status == 200


async def test_nobody_waits_for_a_reply_that_cannot_be_stored(gateway: CachingGateway) -> None:
    gateway.backend.metadata = (("cache-control", "private"),)
    await gateway.get("/v1/items/a")
    gateway.backend.open.clear()
    asking = [asyncio.create_task(gateway.get("/v1/items/a")) for _ in range(5)]
    await until(lambda: gateway.backend.calls["GetItem"] == 6)  # all at once
    gateway.backend.open.set()
    await asyncio.gather(*asking)


async def test_one_who_waits_too_long_goes_alone(open_cache: OpenCache) -> None:
    gateway = await open_cache(cache={"collapse_wait_s": 0.05})
    gateway.backend.open.clear()
    asking = [asyncio.create_task(gateway.get("/v1/items/a")) for _ in range(2)]
    await until(lambda: gateway.backend.calls["GetItem"] == 2)
    gateway.backend.open.set()
    assert {one.status for one in await asyncio.gather(*asking)} == {200}


async def test_the_call_goes_on_while_one_of_those_who_wait_is_there(
    gateway: CachingGateway,
) -> None:
    gateway.backend.open.clear()
    async with connected(gateway.gateway) as leader:
        await leader.send("GET /v1/items/a HTTP/1.1\r\nHost: test\r\n\r\n")
        await until(lambda: gateway.backend.calls["GetItem"])
        follower = asyncio.create_task(gateway.get("/v1/items/a"))
        await asyncio.sleep(0.2)  # until it waits
    gateway.backend.open.set()
    assert (await follower).status == 200
    assert gateway.backend.calls["GetItem"] == 1


async def test_a_client_that_leaves_does_not_leave_its_call_to_others(
    gateway: CachingGateway,
) -> None:
    gateway.backend.open.clear()
    for _ in range(5):
        async with connected(gateway.gateway) as client:
            await client.send("GET /v1/items/a HTTP/1.1\r\nHost: test\r\n\r\n")
    later = asyncio.create_task(gateway.get("/v1/items/a"))
    await until(lambda: gateway.backend.calls["GetItem"])
    gateway.backend.open.set()
    assert (await later).status == 200
    assert "hit" in status(await gateway.get("/v1/items/a"))


async def test_a_method_that_changes_something_cannot_be_stored(open_cache: OpenCache) -> None:
    policies = [{"selector": "shop.v1.*", "cache": {"ttl_s": 5}}]
    with pytest.raises(PolicyError, match=r"shop\.v1\.Shop\.UpdateItem: cache: it may have side"):
        await open_cache(policies=policies)


async def test_a_later_rule_takes_storage_back(open_cache: OpenCache) -> None:
    gateway = await open_cache(policies=rule(disabled=True))
    for _ in range(2):
        assert (await gateway.get("/v1/items/a")).header("Cache-Status") is None
    assert gateway.backend.calls["GetItem"] == 2


async def test_a_vary_that_the_policy_does_not_have_is_logged_once_for_a_method(
    open_cache: OpenCache, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = await open_cache(policies=rule(vary=["x-kind"]))
    for vary in ("X-Kind, X-Tenant", "*, foo"):
        gateway.backend.metadata = (("vary", vary),)
        await gateway.get("/v1/items/a")
    gateway.backend.metadata = (("vary", ", *"),)
    await gateway.get("/v1/me")
    gateway.backend.metadata = (("cache-control", "no-store"),)
    await gateway.get("/v1/items")
    event = "gateway.cache.unlisted_vary"
    lines = [one for one in caplog.records if getattr(one, "gateway_event", "") == event]
    assert [line.getMessage().partition(" are not")[0] for line in lines] == [
        "replies of shop.v1.Shop.GetItem",
        "replies of shop.v1.Shop.GetMe",
    ]
    assert lines[0].getMessage().endswith(": x-tenant")


async def test_what_nobody_asks_for_again_leaves_the_memory_when_it_has_expired(
    open_cache: OpenCache,
) -> None:
    gateway = await open_cache(policies=rule(ttl_s=0.2))
    for name in "abc":
        await gateway.get(f"/v1/items/{name}")
    await gateway.get("/v1/me")
    memory = gateway.cache.memory
    assert len(memory) == 4
    await until(lambda: len(memory) == 1)
    assert "hit" in status(await gateway.get("/v1/me"))


async def test_a_reply_that_cannot_be_shown_is_not_kept(gateway: CachingGateway) -> None:
    gateway.backend.raw = b"\x0a\x05a"  # it ends within a field
    for _ in range(2):
        assert (await gateway.get("/v1/items/a")).status == 500
    gateway.backend.raw = None
    assert (await gateway.get("/v1/items/a")).status == 200
    assert gateway.backend.calls["GetItem"] == 3


@pytest.mark.parametrize(
    ("keys", "metadata", "ttl"),
    [
        ({"ttl_overrides": True}, "max-age=5, s-maxage=6", 600),
        ({}, "max-age=5", 5),
        ({"ttl_overrides": True}, "no-store", None),
        ({"ttl_overrides": True}, "no-cache", None),
        ({}, "no-store, must-understand, max-age=60", 60),
        ({}, "private, must-understand, max-age=60", None),
    ],
)
async def test_the_policy_can_overrule_times_and_nothing_that_is_forbidden(
    open_cache: OpenCache, keys: dict[str, object], metadata: str, ttl: int | None
) -> None:
    gateway = await open_cache(policies=rule(**keys))
    gateway.backend.metadata = (("cache-control", metadata),)
    await gateway.get("/v1/items/a")
    found = status(await gateway.get("/v1/items/a"))
    if ttl is None:
        assert "hit" not in found
    else:
        assert ttl - 5 <= int(found.rpartition("=")[2]) <= ttl
