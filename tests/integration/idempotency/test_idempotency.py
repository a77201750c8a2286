"""Requests with idempotency keys: each is done once, and repeated ones get the same answer."""

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest

from gateway.policy.options import PolicyError
from tests.integration.idempotency.conftest import OpenKeyed
from tests.support.counting_backend import CachingGateway, counting_server
from tests.support.http import Answer, connected
from tests.support.keyed_gateway import FORKED, keyed_gateway
from tests.support.polling import first, until
from tests.support.redis_server import free_port

PATH = "/v1/items/a:archive"
KEY = 'Idempotency-Key: "k-1"'


async def post(
    gateway: CachingGateway, *headers: str, body: str = '{"text": "x"}', path: str = PATH
) -> Answer:
    return await gateway.send("POST", path, body, *headers)


def reason(answer: Answer) -> str:
    return str(answer.json()["error"]["details"][0]["reason"])


def calls(gateway: CachingGateway) -> int:
    return gateway.backend.calls["ArchiveItem"]


async def test_a_repeated_request_gets_the_answer_of_the_first(gateway: CachingGateway) -> None:
    gateway.backend.metadata = (("x-made", "yes"), ("etag", '"1"'))
    one, two = await post(gateway, KEY), await post(gateway, KEY)
    assert (one.status, two.status) == (200, 200)
    assert one.body == two.body
    assert one.header("Idempotency-Replayed") is None
    assert two.header("Idempotency-Replayed") == "true"
    assert one.header("ETag") == two.header("ETag")
    assert one.header("X-Request-Id") != two.header("X-Request-Id")
    assert calls(gateway) == 1


async def test_a_replay_is_rendered_as_its_request_accepts_it(gateway: CachingGateway) -> None:
    await post(gateway, KEY)
    protobuf = await post(gateway, KEY, "Accept: application/x-protobuf")
    assert protobuf.header("Content-Type") == "application/x-protobuf"
    assert calls(gateway) == 1


async def test_the_spelling_of_key_and_body_has_no_say(gateway: CachingGateway) -> None:
    await post(gateway, "Idempotency-Key: k-1", body='{"text": "x"}')
    again = await post(gateway, 'idempotency-key:  "k-1" ', body='{ "text":"\\u0078" }')
    assert again.header("Idempotency-Replayed") == "true"


async def test_requests_without_a_key_are_all_done(gateway: CachingGateway) -> None:
    for _ in range(2):
        assert (await post(gateway)).status == 200
    assert calls(gateway) == 2


async def test_another_request_with_the_key_is_refused(gateway: CachingGateway) -> None:
    await post(gateway, KEY)
    for other in (
        await post(gateway, KEY, body='{"text": "y"}'),
        await post(gateway, KEY, path="/v1/items/b:archive"),
    ):
        assert (other.status, reason(other)) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert calls(gateway) == 1


async def test_another_method_has_other_keys(gateway: CachingGateway) -> None:
    await post(gateway, KEY)
    for replayed in (None, "true"):
        patch = await gateway.send("PATCH", "/v1/items/a", '{"text": "x"}', KEY)
        assert (patch.status, patch.header("Idempotency-Replayed")) == (200, replayed)


async def test_a_get_needs_no_key(open_keyed: OpenKeyed) -> None:
    gateway = await open_keyed({"key": "required"})
    for _ in range(2):
        assert (await gateway.get("/v1/plain?name=a", KEY)).status == 200
    assert (await gateway.get("/v1/plain?name=a")).status == 200
    assert gateway.backend.calls["Plain"] == 3


async def test_a_needed_key_that_is_missing_is_refused(open_keyed: OpenKeyed) -> None:
    gateway = await open_keyed({"key": "required", "docs_url": "https://example.com/keys"})
    answer = await post(gateway)
    assert (answer.status, reason(answer)) == (400, "IDEMPOTENCY_KEY_MISSING")
    assert answer.header("Link") == '<https://example.com/keys>; rel="describedby"'
    assert "Idempotency-Key" in answer.json()["error"]["message"]
    assert calls(gateway) == 0


@pytest.mark.parametrize(
    "lines",
    [
        ["Idempotency-Key:"],
        ['Idempotency-Key: ""'],
        ['Idempotency-Key: "a'],
        ['Idempotency-Key: "a", "b"'],
        ['Idempotency-Key: "a";p=1'],
        ["Idempotency-Key: a b"],
        ["Idempotency-Key: a,b"],
        ["Idempotency-Key: k\xe9"],
        ["Idempotency-Key: " + "k" * 256],
        ["Idempotency-Key: a", "Idempotency-Key: b"],
        ["Idempotency-Key: a", "IDEMPOTENCY-KEY: a"],
    ],
    ids=lambda lines: repr(lines)[:40],
)
async def test_a_malformed_key_is_refused(gateway: CachingGateway, lines: list[str]) -> None:
    answer = await post(gateway, *lines)
    assert (answer.status, reason(answer)) == (400, "IDEMPOTENCY_KEY_INVALID")
    assert calls(gateway) == 0


async def test_the_back_end_gets_the_key(gateway: CachingGateway) -> None:
    await post(gateway, KEY)
    assert gateway.backend.seen[0]["idempotency-key"] == '"k-1"'


async def test_a_request_in_progress_is_refused_or_waited_for(open_keyed: OpenKeyed) -> None:
    gateway = await open_keyed()
    gateway.backend.open.clear()
    running = asyncio.create_task(post(gateway, KEY))
    await until(lambda: calls(gateway) == 1)
    early = await post(gateway, KEY)
    assert (early.status, reason(early)) == (409, "IDEMPOTENCY_IN_PROGRESS")
    assert early.header("Retry-After") == "1"
    gateway.backend.open.set()
    assert (await running).status == 200
    assert (await post(gateway, KEY)).header("Idempotency-Replayed") == "true"


async def test_what_the_back_end_decided_is_repeated_also_a_failure(
    gateway: CachingGateway,
) -> None:
    gateway.backend.fails = grpc.StatusCode.INTERNAL
    one = await post(gateway, KEY)
    gateway.backend.fails = None
    two = await post(gateway, KEY)
    assert (one.status, two.status) == (500, 500)
    assert one.json() == two.json()
    assert two.header("Idempotency-Replayed") == "true"
    assert calls(gateway) == 1


async def test_an_invalid_request_takes_no_key(gateway: CachingGateway) -> None:
    assert (await post(gateway, KEY, body='{"text": 1}')).status == 400
    assert (await post(gateway, KEY)).status == 200
    assert calls(gateway) == 1


@pytest.mark.parametrize(
    ("rule", "status", "made"),
    [({}, 409, 1), ({"on_unknown": "retry"}, 200, 2)],
    ids=["refuse", "retry"],
)
async def test_an_unknown_outcome_is_not_repeated_unless_the_rule_says_so(
    open_keyed: OpenKeyed, rule: dict[str, Any], status: int, made: int
) -> None:
    gateway = await open_keyed(rule, policy={"timeout_s": 0.5})
    gateway.backend.open.clear()
    assert (await post(gateway, KEY)).status == 504
    gateway.backend.open.set()
    again = await post(gateway, KEY)
    assert again.status == status
    if status == 409:
        assert reason(again) == "IDEMPOTENCY_OUTCOME_UNKNOWN"
    assert calls(gateway) == made


async def test_a_call_goes_on_if_its_client_leaves(gateway: CachingGateway) -> None:
    gateway.backend.open.clear()
    async with connected(gateway.gateway) as client:
        await client.send(
            f"POST {PATH} HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
            f'Content-Length: 13\r\n{KEY}\r\n\r\n{{"text": "x"}}'
        )
        await until(lambda: calls(gateway) == 1)
    await asyncio.sleep(0.1)  # the gateway notices that the client has left
    gateway.backend.open.set()
    answer = await first(lambda: post(gateway, KEY), lambda one: one.status == 200)
    assert answer.header("Idempotency-Replayed") == "true"
    assert calls(gateway) == 1


async def test_a_reply_that_is_too_large_is_not_repeated(open_keyed: OpenKeyed) -> None:
    gateway = await open_keyed(idempotency={"max_reply_bytes": 1000})
    gateway.backend.size = 2000
    assert (await post(gateway, KEY)).status == 200
    again = await post(gateway, KEY)
    assert (again.status, reason(again)) == (409, "REPLY_TOO_LARGE")
    assert calls(gateway) == 1


async def test_principals_have_their_own_keys_and_others_none(
    open_keyed: OpenKeyed, tmp_path: Path
) -> None:
    auth = {"store": f"sqlite:///{tmp_path}/keys.db", "anonymous": True}
    gateway = await open_keyed({"allow_anonymous": False}, policy={"anonymous": True}, auth=auth)
    ann, bob = await gateway.key_of("ann"), await gateway.key_of("bob")
    answers = [await post(gateway, KEY, who) for who in (ann, bob, ann, bob)]
    assert [one.header("Idempotency-Replayed") for one in answers] == [None, None, "true", "true"]
    assert answers[0].json() == answers[2].json() != answers[1].json()
    nobody = await post(gateway, KEY)
    assert (nobody.status, reason(nobody)) == (400, "IDEMPOTENCY_KEY_ANONYMOUS")
    assert calls(gateway) == 2


async def test_fifty_requests_at_two_processes_are_one_call(tmp_path: Path, redis_url: str) -> None:
    """They share a port and Redis, and nothing else."""
    store = f"{redis_url}?prefix=fifty:"
    async with (
        counting_server() as backend,
        keyed_gateway(tmp_path, backend.target, store, *FORKED, "2", rule={"wait_s": 20}) as both,
    ):
        await first(partial(both.post, "start"), lambda _: len(both.answered) == 2)
        both.answered.clear()
        begun = backend.calls["ArchiveItem"]
        backend.open.clear()
        asked = [asyncio.create_task(both.post("fifty")) for _ in range(50)]
        await until(lambda: backend.calls["ArchiveItem"] > begun)
        backend.open.set()
        answers = await asyncio.gather(*asked)
    assert {status for status, _ in answers} == {200}
    assert len({body for _, body in answers}) == 1
    assert backend.calls["ArchiveItem"] == begun + 1
    assert len(both.answered) == 2


async def test_a_call_that_no_back_end_got_frees_its_key(
    open_keyed: OpenKeyed, redis_url: str
) -> None:
    store = {"store": f"{redis_url}?prefix=unsent:"}
    nowhere = {"shop": {"target": f"127.0.0.1:{free_port()}"}}
    cut_off = await open_keyed(idempotency=store, upstreams=nowhere)
    gateway = await open_keyed(idempotency=store)
    assert (await post(cut_off, KEY)).status == 503
    answer = await post(gateway, KEY)
    assert (answer.status, answer.header("Idempotency-Replayed")) == (200, None)


async def test_a_key_stays_in_progress_for_longer_than_its_lease(open_keyed: OpenKeyed) -> None:
    gateway = await open_keyed({"lease_s": 0.3, "on_unknown": "retry"})
    gateway.backend.open.clear()
    running = asyncio.create_task(post(gateway, KEY))
    await until(lambda: calls(gateway) == 1)
    await asyncio.sleep(0.7)
    assert (await post(gateway, KEY)).status == 409
    gateway.backend.open.set()
    assert (await running).status == 200
    assert calls(gateway) == 1


@pytest.mark.parametrize(("on_failure", "status"), [("closed", 503), ("open", 200)])
async def test_without_its_store_a_key_is_refused_or_let_through(
    open_keyed: OpenKeyed, on_failure: str, status: int
) -> None:
    url = f"redis://127.0.0.1:{free_port()}/0"
    gateway = await open_keyed(idempotency={"store": url, "on_store_failure": on_failure})
    answer = await post(gateway, KEY)
    assert answer.status == status
    if status == 503:
        assert reason(answer) == "IDEMPOTENCY_STORE_UNAVAILABLE"
    assert (await post(gateway)).status == 200


@pytest.mark.parametrize(
    ("rule", "settings", "words"),
    [
        ({}, {"workers": 2}, "idempotency.store: several workers need"),
        (
            {},
            {"idempotency": {"store": "sqlite:///keys.db"}},
            "idempotency.store: expected memory:",
        ),
        ({"allow_anonymous": False}, {}, "no kind of credential is set"),
    ],
    ids=["workers", "sqlite", "anonymous"],
)
async def test_settings_that_protect_nothing_are_refused(
    open_keyed: OpenKeyed, rule: dict[str, Any], settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(PolicyError, match=words):
        await open_keyed(rule, **settings)


@pytest.mark.parametrize(
    ("rule", "headers", "made"),
    [
        ({"backend_handles": True}, [KEY], 3),
        ({"backend_handles": True}, [], 1),
        ({}, [KEY], 1),
    ],
    ids=["handled", "no key", "not handled"],
)
async def test_a_call_is_repeated_only_if_the_back_end_handles_its_key(
    open_keyed: OpenKeyed, rule: dict[str, Any], headers: list[str], made: int
) -> None:
    policy = {"max_attempts": 3, "initial_backoff_s": 0.01}
    gateway = await open_keyed(rule, upstream={"retry_policy": policy})
    gateway.backend.fails = grpc.StatusCode.UNAVAILABLE
    assert (await post(gateway, *headers)).status == 503
    assert calls(gateway) == made
    told = [one.get("idempotency-key") for one in gateway.backend.seen]
    assert told == ['"k-1"' if headers else None] * made


async def test_an_unknown_outcome_is_asked_for_again_if_the_back_end_handles_keys(
    open_keyed: OpenKeyed,
) -> None:
    gateway = await open_keyed({"backend_handles": True}, policy={"timeout_s": 0.5})
    gateway.backend.open.clear()
    assert (await post(gateway, KEY)).status == 504
    gateway.backend.open.set()
    assert (await post(gateway, KEY)).status == 200
