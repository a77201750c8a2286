"""What every store of API keys promises."""

import asyncio
import time
from hashlib import sha256

from gateway.stores.base import EXPIRED_KEYS_KEPT_S, KeyRecord, Store


def key(secret: str, key_id: str = "k1", expires_at_s: float | None = None) -> KeyRecord:
    return KeyRecord(
        sha256(secret.encode()).digest(),
        key_id,
        "ann's büro",
        frozenset({"books.read"}),
        1_700_000_000.5,
        expires_at_s,
        ("10.0.0.0/8", "::1/128"),
    )


async def test_a_key_is_found_as_it_was_kept(store: Store) -> None:
    record = key("s")
    assert await store.add_key(record)
    assert await store.find_key(record.digest) == record
    assert await store.find_key(bytes(32)) is None


async def test_an_id_is_given_once(store: Store) -> None:
    await store.add_key(key("s"))
    assert not await store.add_key(key("t"))
    assert await store.find_key(key("t").digest) is None


async def test_an_expired_key_is_listed_but_not_found(store: Store) -> None:
    record = key("s", expires_at_s=time.time() - 5)
    await store.add_key(record)
    assert await store.find_key(record.digest) is None
    assert [r async for r in store.list_keys()] == [record]


async def test_a_key_that_has_expired_long_ago_goes_by_itself(store: Store) -> None:
    now_s = time.time()
    gone = key("gone", "k1", expires_at_s=now_s - EXPIRED_KEYS_KEPT_S - 1)
    kept = key("kept", "k2", expires_at_s=now_s - EXPIRED_KEYS_KEPT_S + 60)
    for record in (gone, kept, key("other", "k3")):
        await store.add_key(record)
    assert [r.id async for r in store.list_keys()] == ["k2", "k3"]
    assert await store.replace_key("k1", key("new").digest) is None
    # Another secret makes it stay no longer.
    await store.replace_key("k2", key("new").digest)
    assert await store.find_key(key("new").digest) is None


async def test_an_old_secret_goes_with_its_key(store: Store) -> None:
    now_s = time.time()
    await store.add_key(key("old", expires_at_s=now_s - EXPIRED_KEYS_KEPT_S + 0.3))
    await store.replace_key("k1", key("new").digest, now_s + 3600)
    await asyncio.sleep(0.4)
    await store.add_key(key("other", "k2"))
    assert [await store.find_key(key(one).digest) for one in ("old", "new")] == [None, None]


async def test_a_key_that_has_not_expired_is_found(store: Store) -> None:
    record = key("s", expires_at_s=time.time() + 60)
    await store.add_key(record)
    assert await store.find_key(record.digest) == record


async def test_another_secret_makes_the_old_one_useless(store: Store) -> None:
    await store.add_key(key("old"))
    new = key("new")
    assert await store.replace_key("k1", new.digest) == new
    assert await store.find_key(key("old").digest) is None
    assert await store.find_key(new.digest) == new
    assert await store.replace_key("nobody", new.digest) is None


async def test_an_old_secret_is_good_for_as_long_as_was_said(store: Store) -> None:
    await store.add_key(key("old"))
    new = key("new")
    await store.replace_key("k1", new.digest, time.time() + 1)
    assert await store.find_key(key("old").digest) == new
    assert await store.find_key(new.digest) == new
    await asyncio.sleep(1.1)
    assert await store.find_key(key("old").digest) is None
    assert await store.find_key(new.digest) == new


async def test_a_key_has_two_secrets_at_the_most(store: Store) -> None:
    await store.add_key(key("oldest"))
    for secret in ("old", "new"):
        await store.replace_key("k1", key(secret).digest, time.time() + 60)
    found = [await store.find_key(key(one).digest) for one in ("oldest", "old", "new")]
    assert found == [None, key("new"), key("new")]
    await store.replace_key("k1", key("newest").digest)
    found = [await store.find_key(key(one).digest) for one in ("old", "new", "newest")]
    assert found == [None, None, key("newest")]


async def test_a_revoked_key_takes_its_old_secret_with_it(store: Store) -> None:
    await store.add_key(key("old"))
    await store.replace_key("k1", key("new").digest, time.time() + 60)
    assert await store.revoke_key("k1")
    # Nor is it a secret of the next key of that id.
    assert await store.add_key(key("other"))
    assert [await store.find_key(key(one).digest) for one in ("old", "new")] == [None, None]


async def test_an_expired_key_has_no_good_secret(store: Store) -> None:
    await store.add_key(key("old", expires_at_s=time.time() - 5))
    await store.replace_key("k1", key("new").digest, time.time() + 60)
    assert [await store.find_key(key(one).digest) for one in ("old", "new")] == [None, None]


async def test_a_revoked_key_is_gone(store: Store) -> None:
    await store.add_key(key("s"))
    assert await store.revoke_key("k1") == key("s")
    assert await store.revoke_key("k1") is None
    assert await store.find_key(key("s").digest) is None
    assert [r async for r in store.list_keys()] == []
    assert await store.add_key(key("s"))


async def test_the_last_use_is_kept(store: Store) -> None:
    await store.add_key(key("s"))
    await store.touch_key("k1", 1_700_000_100.25)
    await store.touch_key("nobody", 1.0)
    found = await store.find_key(key("s").digest)
    assert found is not None
    assert found.last_used_at_s == 1_700_000_100.25
    assert len([r async for r in store.list_keys()]) == 1


async def test_keys_are_listed_by_id(store: Store) -> None:
    for name in ("b", "c", "a"):
        await store.add_key(key(name, key_id=name))
    assert [record.id async for record in store.list_keys()] == ["a", "b", "c"]
