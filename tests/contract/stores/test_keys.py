"""What every store of API keys promises."""

import asyncio
import time
from dataclasses import replace
from hashlib import sha256

import pytest

from gateway.stores.base import EXPIRED_KEYS_KEPT_S, KeyRecord, Store


def key(
    secret: str, key_id: str = "k1", lives_s: float | None = None, ahead_s: float = 0.0
) -> KeyRecord:
    """A key that was made now, by a node whose clock is ahead."""
    now_s = time.time() + ahead_s
    return KeyRecord(
        sha256(secret.encode()).digest(),
        key_id,
        "ann's büro",
        frozenset({"books.read"}),
        now_s,
        None if lives_s is None else now_s + lives_s,
        ("10.0.0.0/8", "::1/128"),
    )


def alike(found: KeyRecord | None, record: KeyRecord) -> bool:
    """True if they are equal, with times by the clock of the store or that of the gateway."""
    assert found is not None
    assert abs(found.created_at_s - time.time()) < 60
    if record.expires_at_s is None or found.expires_at_s is None:
        assert found.expires_at_s is record.expires_at_s
    else:
        lives_s = record.expires_at_s - record.created_at_s
        assert found.expires_at_s - found.created_at_s == pytest.approx(lives_s, abs=0.01)
    timed = replace(found, created_at_s=record.created_at_s, expires_at_s=record.expires_at_s)
    return timed == record


async def test_a_key_is_found_as_it_was_kept(store: Store) -> None:
    record = key("s")
    added = await store.add_key(record)
    assert alike(added, record)
    assert await store.find_key(record.digest) == added
    assert await store.find_key(bytes(32)) is None


async def test_an_id_is_given_once(store: Store) -> None:
    await store.add_key(key("s"))
    assert not await store.add_key(key("t"))
    assert await store.find_key(key("t").digest) is None


async def test_an_expired_key_is_listed_but_not_found(store: Store) -> None:
    record = key("s", lives_s=-5)
    added = await store.add_key(record)
    assert await store.find_key(record.digest) is None
    assert [r async for r in store.list_keys()] == [added]


async def test_a_key_that_has_expired_long_ago_goes_by_itself(store: Store) -> None:
    gone = key("gone", "k1", lives_s=-EXPIRED_KEYS_KEPT_S - 1)
    kept = key("kept", "k2", lives_s=-EXPIRED_KEYS_KEPT_S + 60)
    for record in (gone, kept, key("other", "k3")):
        await store.add_key(record)
    assert [r.id async for r in store.list_keys()] == ["k2", "k3"]
    assert await store.replace_key("k1", key("new").digest) is None
    # Another secret makes it stay no longer.
    await store.replace_key("k2", key("new").digest)
    assert await store.find_key(key("new").digest) is None


async def test_an_old_secret_goes_with_its_key(store: Store) -> None:
    await store.add_key(key("old", lives_s=-EXPIRED_KEYS_KEPT_S + 0.3))
    await store.replace_key("k1", key("new").digest, 3600)
    await asyncio.sleep(0.4)
    await store.add_key(key("other", "k2"))
    assert [await store.find_key(key(one).digest) for one in ("old", "new")] == [None, None]


async def test_a_key_that_has_not_expired_is_found(store: Store) -> None:
    record = key("s", lives_s=60)
    await store.add_key(record)
    assert alike(await store.find_key(record.digest), record)


@pytest.mark.parametrize("ahead_s", [-3600.0, 3600.0])
async def test_clocks_of_nodes_do_not_count(store: Store, store_url: str, ahead_s: float) -> None:
    if not store_url.startswith(("redis", "postgres")):
        ahead_s = 0.0  # on one machine, all have one clock
    record = key("s", lives_s=0.5, ahead_s=ahead_s)
    added = await store.add_key(record)
    # What the owner is told is the time at which it really ends.
    assert alike(added, record)
    assert await store.find_key(record.digest) == added
    await asyncio.sleep(0.6)
    assert await store.find_key(record.digest) is None


async def test_another_secret_makes_the_old_one_useless(store: Store) -> None:
    await store.add_key(key("old"))
    new = key("new")
    assert alike(await store.replace_key("k1", new.digest), new)
    assert await store.find_key(key("old").digest) is None
    assert alike(await store.find_key(new.digest), new)
    assert await store.replace_key("nobody", new.digest) is None


async def test_an_old_secret_is_good_for_as_long_as_was_said(store: Store) -> None:
    await store.add_key(key("old"))
    new = key("new")
    await store.replace_key("k1", new.digest, 1)
    assert alike(await store.find_key(key("old").digest), new)
    assert alike(await store.find_key(new.digest), new)
    await asyncio.sleep(1.1)
    assert await store.find_key(key("old").digest) is None
    assert alike(await store.find_key(new.digest), new)


async def test_a_key_has_two_secrets_at_the_most(store: Store) -> None:
    await store.add_key(key("oldest"))
    for secret in ("old", "new"):
        await store.replace_key("k1", key(secret).digest, 60)
    oldest, *found = [await store.find_key(key(one).digest) for one in ("oldest", "old", "new")]
    assert oldest is None
    assert [alike(one, key("new")) for one in found] == [True, True]
    await store.replace_key("k1", key("newest").digest)
    old = [await store.find_key(key(one).digest) for one in ("old", "new")]
    assert old == [None, None]
    assert alike(await store.find_key(key("newest").digest), key("newest"))


async def test_a_revoked_key_takes_its_old_secret_with_it(store: Store) -> None:
    await store.add_key(key("old"))
    await store.replace_key("k1", key("new").digest, 60)
    assert await store.revoke_key("k1")
    # Nor is it a secret of the next key of that id.
    assert await store.add_key(key("other"))
    assert [await store.find_key(key(one).digest) for one in ("old", "new")] == [None, None]


async def test_an_expired_key_has_no_good_secret(store: Store) -> None:
    await store.add_key(key("old", lives_s=-5))
    await store.replace_key("k1", key("new").digest, 60)
    assert [await store.find_key(key(one).digest) for one in ("old", "new")] == [None, None]


async def test_a_revoked_key_is_gone(store: Store) -> None:
    await store.add_key(key("s"))
    assert alike(await store.revoke_key("k1"), key("s"))
    assert await store.revoke_key("k1") is None
    assert await store.find_key(key("s").digest) is None
    assert [r async for r in store.list_keys()] == []
    assert await store.add_key(key("s"))


async def test_the_last_use_is_kept(store: Store) -> None:
    await store.add_key(key("s"))
    await store.touch_key("k1")
    await store.touch_key("nobody")
    found = await store.find_key(key("s").digest)
    assert found is not None
    assert found.last_used_at_s is not None
    assert abs(found.last_used_at_s - time.time()) < 60
    assert len([r async for r in store.list_keys()]) == 1


async def test_keys_are_listed_by_id(store: Store) -> None:
    for name in ("b", "c", "a"):
        await store.add_key(key(name, key_id=name))
    assert [record.id async for record in store.list_keys()] == ["a", "b", "c"]
