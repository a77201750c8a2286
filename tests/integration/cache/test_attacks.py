"""Attacks on stored replies: nobody gets what is another's, and nobody changes what others get."""

import asyncio

import pytest

from gateway.auth.keys.api_keys import KeyRequest
from gateway.cache.entries import Entry
from gateway.cache.freshness import Times
from gateway.cache.memory import MemoryCache
from gateway.config.cache import CacheOptions
from gateway.config.model import Config
from tests.integration.cache.conftest import OpenCache
from tests.support.counting_backend import CachingGateway
from tests.support.polling import first, until

EVIL = [
    "X-Forwarded-Host: evil.example",
    "X-Forwarded-Proto: gopher",
    "X-Evil: evil",
    "X-Original-Url: /evil",
    "X-HTTP-Method-Override: PATCH",
    "Accept-Language: evil",
    "Cookie: evil=1",
    "User-Agent: evil",
    "Origin: https://evil.example",
    "Range: bytes=0-0",
    "If-None-Match: *",
    "X-Principal: evil",
    "Grpc-Timeout: 99H",
    "X-Evil-Bin: ZXZpbA==",
]


@pytest.mark.parametrize("header", EVIL)
async def test_no_header_of_one_client_reaches_what_others_get(
    gateway: CachingGateway, header: str
) -> None:
    poisoned = await gateway.get("/v1/items/a", header)
    assert poisoned.status == (304 if header == "If-None-Match: *" else 200)
    told = {k: v for k, v in gateway.backend.seen[0].items() if not k.startswith("grpc-")}
    assert set(told) <= {"user-agent", "x-request-id"}
    assert "evil" not in str(told.get("user-agent"))
    victim = await gateway.get("/v1/items/a")
    assert b"evil" not in victim.body
    assert gateway.backend.calls["GetItem"] == 1


async def test_a_short_timeout_of_one_client_fails_nobody_else(gateway: CachingGateway) -> None:
    gateway.backend.open.clear()
    hasty = asyncio.create_task(gateway.get("/v1/items/a", "Grpc-Timeout: 300m"))
    await until(lambda: gateway.backend.calls["GetItem"])
    patient = asyncio.create_task(gateway.get("/v1/items/a"))
    assert (await hasty).status == 504
    gateway.backend.open.set()
    assert (await patient).status == 200


async def test_callers_never_get_the_reply_of_another(guarded: CachingGateway) -> None:
    ada, bob = await guarded.key_of("ada", "read"), await guarded.key_of("bob", "read")
    for _ in range(2):
        for header, name in ((ada, b"for ada"), (bob, b"for bob")):
            for target in ("/v1/me", "/v1/items/a"):
                assert name in (await guarded.get(target, header)).body
        assert b"for nobody" in (await guarded.get("/v1/items/a")).body
    assert guarded.backend.calls == {"GetMe": 2, "GetItem": 3}


async def test_callers_never_wait_for_the_reply_of_another(guarded: CachingGateway) -> None:
    keys = [await guarded.key_of(name, "read") for name in ("ada", "bob")]
    guarded.backend.open.clear()
    asking = [asyncio.create_task(guarded.get("/v1/me", key)) for key in keys * 5]
    await until(lambda: guarded.backend.calls["GetMe"] == 2)
    guarded.backend.open.set()
    bodies = [one.body for one in await asyncio.gather(*asking)]
    assert all(name in body for name, body in zip([b"ada", b"bob"] * 5, bodies, strict=True))


async def test_one_caller_with_other_scopes_is_another(guarded: CachingGateway) -> None:
    few, many = await guarded.key_of("ada", "read"), await guarded.key_of("ada", "read", "write")
    await guarded.get("/v1/me", few)
    await guarded.get("/v1/me", many)
    assert guarded.backend.calls["GetMe"] == 2


async def test_the_guards_stand_before_what_is_stored(guarded: CachingGateway) -> None:
    ada, nobody = await guarded.key_of("ada", "read"), await guarded.key_of("eve")
    await guarded.get("/v1/me", ada)
    assert (await guarded.get("/v1/me")).status == 401
    assert (await guarded.get("/v1/me", nobody)).status == 403
    assert (await guarded.get("/v1/me", "X-API-Key: gwk_wrong")).status == 401


async def test_shared_replies_are_fetched_without_a_caller(open_cache: OpenCache) -> None:
    gateway = await open_cache(
        auth={"store": "memory:", "keys": {}, "anonymous": True},
        policies=[{"selector": "shop.v1.Shop.GetItem", "cache": {"scope": "shared"}}],
    )
    answer = await gateway.get("/v1/items/a")
    assert b"for nobody" in answer.body
    assert "x-principal" not in gateway.backend.seen[0]


async def test_shared_replies_tell_the_back_end_of_nobody(
    open_cache: OpenCache, guarded: CachingGateway, tmp_path: object
) -> None:
    gateway = await open_cache(
        auth={"store": f"sqlite:///{tmp_path}/keys.db"},
        policies=[{"selector": "shop.v1.Shop.GetMe", "cache": {"scope": "shared"}}],
    )
    ada, bob = await guarded.key_of("ada"), await guarded.key_of("bob")
    answers = [await gateway.get("/v1/me", key) for key in (ada, bob)]
    assert [one.status for one in answers] == [200, 200]
    assert b"for nobody" in answers[0].body
    assert answers[0].body == answers[1].body
    assert (await gateway.get("/v1/me")).status == 401


async def test_anonymous_scope_stores_nothing_of_callers(
    open_cache: OpenCache, guarded: CachingGateway, tmp_path: object
) -> None:
    gateway = await open_cache(
        auth={"store": f"sqlite:///{tmp_path}/keys.db", "anonymous": True},
        policies=[{"selector": "shop.v1.Shop.GetItem", "cache": {"scope": "anonymous"}}],
    )
    ada = await guarded.key_of("ada")
    for _ in range(2):
        answer = await gateway.get("/v1/items/a", ada)
        assert answer.header("Cache-Status") == "gateway; fwd=bypass"
        assert b"for ada" in answer.body
        assert b"for nobody" in (await gateway.get("/v1/items/a")).body
    assert gateway.backend.calls["GetItem"] == 3


async def test_a_credential_that_only_the_back_end_knows_is_not_stored(
    gateway: CachingGateway,
) -> None:
    for _ in range(2):
        answer = await gateway.get("/v1/items/a", "Authorization: Basic YTpi")
        assert "hit" not in (answer.header("Cache-Status") or "")
    assert gateway.backend.seen[0]["authorization"] == "Basic YTpi"
    assert gateway.backend.calls["GetItem"] == 2


@pytest.mark.parametrize(
    "path",
    [
        "/v1/me/x.css", "/v1/me%2Fx.css", "/v1/me;x.css", "/v1/me%3Fx.css", "/v1/me%00.css",
        "/v1/me/..%2Fitems", "/v1/items/../me", "//v1/me", "/v1/me%0a.css", "/V1/me",
    ],
)  # fmt: skip
async def test_no_other_path_gets_or_stores_the_reply_of_a_path(
    guarded: CachingGateway, path: str
) -> None:
    ada = await guarded.key_of("ada", "read")
    await guarded.get("/v1/me", ada)
    assert b"for ada" not in (await guarded.get(path)).body
    await guarded.get(path, ada)
    assert b"for ada" not in (await guarded.get(path)).body
    assert guarded.backend.calls["GetMe"] == 1


async def test_a_flood_of_keys_stays_within_the_memory(open_cache: OpenCache) -> None:
    gateway = await open_cache(cache={"memory_bytes": 20_000, "max_entry_bytes": 2000})
    gateway.backend.size = 1000
    for _ in range(3):
        await gateway.get("/v1/items/hot")
    for number in range(100):
        await gateway.get(f"/v1/items/flood{number}")
    assert "hit" in str((await gateway.get("/v1/items/hot")).header("Cache-Status"))
    assert gateway.backend.calls["GetItem"] == 101


def entry(name: str, owner: str = "", size: int = 500) -> Entry:
    times = Times(0.0, 100.0, 100.0, 100.0)
    return Entry(name.encode(), bytes(size), [], [], times, owner, ["/v1/" + name])


def test_one_principal_does_not_take_the_room_of_others() -> None:
    memory = MemoryCache(CacheOptions(memory_bytes=300_000, max_entry_bytes=10_000))
    for number in range(20):
        memory.put(entry(f"others{number}", "bob"))
    for number in range(1000):
        memory.put(entry(f"flood{number}", "eve"))
    kept = [memory.get(f"others{number}".encode(), 1.0) for number in range(20)]
    assert None not in kept
    assert memory.size_bytes <= 300_000
    assert not memory.put(entry("huge", "eve", 80_000))


async def hits(gateway: CachingGateway, target: str, *headers: str) -> bytes:
    """The body of an answer from what is stored; the third request is known by its line."""
    for _ in range(2):
        await gateway.get(target, *headers)
    answer = await gateway.get(target, *headers)
    assert (answer.header("Cache-Status") or "").startswith("gateway; hit; ttl=")
    return answer.body


@pytest.mark.parametrize("header", EVIL)
async def test_no_header_reaches_those_whose_request_line_is_known(
    gateway: CachingGateway, header: str
) -> None:
    plain = await hits(gateway, "/v1/items/a")
    evil = await gateway.get("/v1/items/a", header)
    assert evil.status == (304 if header == "If-None-Match: *" else 200)
    assert b"evil" not in evil.body
    again = await gateway.get("/v1/items/a")
    assert (again.status, again.body) == (200, plain)
    assert gateway.backend.calls["GetItem"] == 1


async def test_a_known_request_line_gives_each_caller_their_own(guarded: CachingGateway) -> None:
    ada, bob = await guarded.key_of("ada", "read"), await guarded.key_of("bob", "read")
    few, none = await guarded.key_of("ada"), await guarded.key_of("eve")
    assert b"for ada" in await hits(guarded, "/v1/me", ada)
    assert b"for bob" in (await guarded.get("/v1/me", bob)).body
    assert b"for bob" in await hits(guarded, "/v1/me", bob)
    assert b"for ada" in await hits(guarded, "/v1/me", ada)
    refused = [(await guarded.get("/v1/me", key)).status for key in (few, none, "X-Nothing: 1")]
    assert refused == [403, 403, 401]
    assert guarded.backend.calls == {"GetMe": 2}


async def test_one_name_with_other_scopes_is_not_known(guarded: CachingGateway) -> None:
    few, many = await guarded.key_of("ada", "read"), await guarded.key_of("ada", "read", "write")
    known = await hits(guarded, "/v1/me", few)
    assert await hits(guarded, "/v1/me", many) != known
    assert await hits(guarded, "/v1/me", few) == known
    assert guarded.backend.calls["GetMe"] == 2


async def test_a_revoked_key_gets_nothing_that_is_known(guarded: CachingGateway) -> None:
    assert guarded.keys is not None
    made = await guarded.keys.create(KeyRequest("ada", frozenset({"read"})))
    await hits(guarded, "/v1/me", f"X-API-Key: {made.secret}")
    await guarded.keys.revoke(made.record.id)

    async def status() -> int:
        return (await guarded.get("/v1/me", f"X-API-Key: {made.secret}")).status

    await first(status, lambda found: found == 401)


@pytest.mark.parametrize(
    "target", ["/v1/items/a?pageView=x", "/v1/items/a?size=1", "/v1/items/b", "/v1/items/a%20"]
)
async def test_a_known_request_line_answers_no_other(gateway: CachingGateway, target: str) -> None:
    known = await hits(gateway, "/v1/items/a")
    assert (await gateway.get(target)).body != known
    assert gateway.backend.calls["GetItem"] == 2


@pytest.mark.parametrize("target", ["/v1/items/a?unknown=1", "/v1/items/a?size=x"])
async def test_what_is_wrong_is_refused_beside_what_is_known(
    gateway: CachingGateway, target: str
) -> None:
    await hits(gateway, "/v1/items/a")
    assert [(await gateway.get(target)).status for _ in range(3)] == [400] * 3


async def test_what_varies_belongs_to_what_is_known(open_cache: OpenCache) -> None:
    rule = {"selector": "shop.v1.Shop.GetItem", "cache": {"vary": ["accept-language"]}}
    gateway = await open_cache(policies=[rule])
    languages = ["Accept-Language: de", "Accept-Language: en", "X-None: 1", "Accept-Language: de"]
    bodies = [await hits(gateway, "/v1/items/a", one) for one in languages]
    assert bodies[0] == bodies[3]
    assert len(set(bodies)) == 3
    assert gateway.backend.calls["GetItem"] == 3


async def test_each_representation_is_its_own(gateway: CachingGateway) -> None:
    gateway.backend.size = 3000
    seen = []
    for _ in range(4):
        for headers in (
            (),
            ("Accept-Encoding: gzip",),
            ("Accept: application/x-protobuf",),
            ("Accept: application/protobuf", "Accept-Encoding: gzip"),
        ):
            answer = await gateway.get("/v1/items/a", *headers)
            names = ("Content-Type", "Content-Encoding", "ETag", "Vary")
            seen.append((answer.body, *[answer.header(name) for name in names]))
    assert seen[4:] == seen[:4] * 3
    assert len({one[3] for one in seen}) == 4
    assert gateway.backend.calls["GetItem"] == 1


async def test_a_known_reply_is_dropped_by_a_change(gateway: CachingGateway) -> None:
    before = await hits(gateway, "/v1/items/a?pageView=x")
    await gateway.send("PATCH", "/v1/items/a")
    after = await gateway.get("/v1/items/a?pageView=x")
    assert after.header("Cache-Status") == "gateway; fwd=uri-miss; stored"
    assert after.body != before


async def test_spellings_of_one_call_take_no_memory_of_others(gateway: CachingGateway) -> None:
    hot = await hits(gateway, "/v1/items/hot")
    for number in range(200):
        bits = zip("abcdefgh", f"{number:08b}", strict=True)
        name = "".join(f"%{ord(one):x}" if bit == "1" else one for one, bit in bits)
        assert (await gateway.get(f"/v1/items/{name}")).status == 200
    memory = gateway.cache.memory
    assert len(memory) == 2
    assert memory.size_bytes < 20_000
    assert gateway.backend.calls["GetItem"] == 2
    assert await hits(gateway, "/v1/items/hot") == hot


async def test_a_reload_leaves_no_rendering_of_before(open_cache: OpenCache) -> None:
    gateway = await open_cache()
    plain = await hits(gateway, "/v1/items/a")
    generations = gateway.gateway.generations
    settings = generations.current.config.model_dump(by_alias=True, exclude_unset=True)
    changed = Config.model_validate(settings | {"json": {"pretty": True}})
    await generations.swap(await generations.prepare(changed))
    pretty = await hits(gateway, "/v1/items/a")
    assert b"\n" in pretty
    assert b"\n" not in plain
