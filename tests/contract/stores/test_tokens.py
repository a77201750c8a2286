"""What every token store promises."""

import asyncio
import time
from dataclasses import replace
from hashlib import sha256

import pytest

from gateway.stores.base import Rotation, Store, TokenKind, TokenRecord


def token(
    secret: str,
    kind: TokenKind = TokenKind.ACCESS,
    *,
    family: str = "f1",
    principal: str = "ann",
    lives_s: float = 60.0,
    ahead_s: float = 0.0,
) -> TokenRecord:
    now_s = time.time() + ahead_s
    return TokenRecord(
        sha256(secret.encode()).digest(),
        kind,
        family,
        principal,
        "cli",
        frozenset({"books.read", "books.write"}),
        now_s,
        now_s + lives_s,
        {"team": "hörsaal", "note": 'a"b\n'},
    )


def alike(found: TokenRecord | None, record: TokenRecord) -> bool:
    """True if they are equal, with times by the clock of the store or that of the gateway."""
    assert found is not None
    lives_s = record.expires_at_s - record.issued_at_s
    assert found.expires_at_s - found.issued_at_s == pytest.approx(lives_s, abs=0.01)
    timed = replace(found, issued_at_s=record.issued_at_s, expires_at_s=record.expires_at_s)
    return timed == record


async def good(store: Store, *records: TokenRecord) -> list[bool]:
    return [await store.find_token(record.digest) is not None for record in records]


async def test_a_token_is_found_as_it_was_kept(store: Store) -> None:
    record = token("t")
    await store.add_tokens([record])
    assert alike(await store.find_token(record.digest), record)


async def test_an_unknown_token_is_not_found(store: Store) -> None:
    assert await store.find_token(bytes(32)) is None


async def test_keeping_nothing_is_no_failure(store: Store) -> None:
    await store.add_tokens([])


async def test_an_expired_token_is_not_found(store: Store) -> None:
    record = token("t", lives_s=0.15)
    await store.add_tokens([record])
    assert await good(store, record) == [True]
    await asyncio.sleep(0.2)
    assert await good(store, record) == [False]
    assert [r async for r in store.list_tokens()] == []


@pytest.mark.parametrize("ahead_s", [-3600.0, 3600.0])
async def test_clocks_of_nodes_do_not_count(store: Store, store_url: str, ahead_s: float) -> None:
    if not store_url.startswith(("redis", "postgres")):
        ahead_s = 0.0  # on one machine, all have one clock
    record = token("t", lives_s=0.5, ahead_s=ahead_s)
    new = token("n", TokenKind.REFRESH, ahead_s=ahead_s)
    next_ = token("x", lives_s=0.5, ahead_s=ahead_s)
    await store.add_tokens([record, new])
    assert await store.rotate_token(new.digest, [next_]) == Rotation.DONE
    assert await good(store, record, next_) == [True, True]
    for one in (record, next_):
        found = await store.find_token(one.digest)
        assert found is not None
        # What introspection shows is the time at which it really ends.
        assert found.expires_at_s - found.issued_at_s == pytest.approx(0.5, abs=0.01)
        assert abs(found.expires_at_s - time.time()) < 60
    await asyncio.sleep(0.6)
    assert await good(store, record, next_) == [False, False]


async def test_a_refresh_token_is_used_up_by_its_successors(store: Store) -> None:
    old, access, new = (
        token("r1", TokenKind.REFRESH),
        token("a2"),
        token("r2", TokenKind.REFRESH),
    )
    await store.add_tokens([old])
    assert await store.rotate_token(old.digest, [access, new]) is Rotation.DONE
    assert await good(store, old, access, new) == [False, True, True]


async def test_using_a_refresh_token_again_revokes_its_family(store: Store) -> None:
    old, new = token("r1", TokenKind.REFRESH), token("r2", TokenKind.REFRESH)
    access, other = token("a2"), token("x", family="f2")
    await store.add_tokens([old, other])
    await store.rotate_token(old.digest, [access, new])
    late = token("r3", TokenKind.REFRESH)
    assert await store.rotate_token(old.digest, [late]) is Rotation.REUSED
    assert await good(store, new, access, late, other) == [False, False, False, True]


async def test_a_used_token_still_tells_whose_login_it_was(store: Store) -> None:
    old = token("r1", TokenKind.REFRESH)
    await store.add_tokens([old, token("r9", TokenKind.REFRESH, family="f2")])
    await store.rotate_token(old.digest, [token("r2", TokenKind.REFRESH)])
    assert await store.find_used(old.digest) == "f1"
    await store.rotate_token(old.digest, [])
    assert await store.find_used(old.digest) == "f1"
    for other in (token("r9").digest, bytes(32)):
        assert await store.find_used(other) is None


async def test_reuse_is_known_even_after_the_family_was_revoked(store: Store) -> None:
    old = token("r1", TokenKind.REFRESH)
    await store.add_tokens([old])
    await store.rotate_token(old.digest, [token("r2", TokenKind.REFRESH)])
    await store.revoke_family("f1")
    assert await store.rotate_token(old.digest, []) is Rotation.REUSED


async def test_an_unknown_or_expired_refresh_token_rotates_nothing(store: Store) -> None:
    expired = token("r1", TokenKind.REFRESH, lives_s=0.1)
    await store.add_tokens([expired])
    await asyncio.sleep(0.15)
    new = token("r2", TokenKind.REFRESH)
    assert await store.rotate_token(bytes(32), [new]) is Rotation.UNKNOWN
    assert await store.rotate_token(expired.digest, [new]) is Rotation.UNKNOWN
    assert await good(store, new) == [False]


async def test_an_access_token_cannot_be_rotated(store: Store) -> None:
    access = token("a1")
    await store.add_tokens([access])
    assert await store.rotate_token(access.digest, []) is Rotation.UNKNOWN
    assert await good(store, access) == [True]


async def test_of_fifty_rotations_at_once_one_wins(store: Store) -> None:
    old = token("r1", TokenKind.REFRESH)
    await store.add_tokens([old])
    outcomes = await asyncio.gather(
        *(store.rotate_token(old.digest, [token(f"n{i}", TokenKind.REFRESH)]) for i in range(50))
    )
    assert outcomes.count(Rotation.DONE) == 1
    assert outcomes.count(Rotation.REUSED) == 49


async def test_revoking_a_family_tells_how_many_were_good(store: Store) -> None:
    first, second, other = token("a"), token("b", TokenKind.REFRESH), token("c", family="f2")
    await store.add_tokens([first, second, other])
    assert await store.revoke_family("f1") == 2
    assert await good(store, first, second, other) == [False, False, True]
    assert await store.revoke_family("f1") == 0


async def test_revoking_a_principal_leaves_the_others(store: Store) -> None:
    mine, mine_too = token("a"), token("b", family="f2")
    other = token("c", family="f3", principal="bob")
    await store.add_tokens([mine, mine_too, other])
    assert await store.revoke_principal("ann") == 2
    assert await good(store, mine, mine_too, other) == [False, False, True]


async def test_good_tokens_are_listed(store: Store) -> None:
    records = [token(f"t{i}", family=f"f{i}") for i in range(7)]
    bobs = token("b", family="fb", principal="bob")
    await store.add_tokens([*records, bobs])
    await store.revoke_family("f3")
    listed = {record.digest async for record in store.list_tokens("ann")}
    assert listed == {record.digest for record in records if record.family != "f3"}
    assert len([record async for record in store.list_tokens()]) == 7


async def test_a_listing_of_many_is_complete(store: Store) -> None:
    await store.add_tokens([token(f"t{i}", family=f"f{i}") for i in range(1203)])
    assert len({record.digest async for record in store.list_tokens()}) == 1203


async def test_names_that_look_like_commands_are_only_names(store: Store) -> None:
    name = "x'; DROP TABLE tokens; --\r\nFLUSHALL\r\n*"
    record = token("a", family=name, principal=name)
    await store.add_tokens([record])
    assert alike(await store.find_token(record.digest), record)
    (found,) = [r async for r in store.list_tokens(name)]
    assert alike(found, record)
    assert await store.revoke_principal(name) == 1
