"""What every store of API keys promises."""

import time
from hashlib import sha256

from gateway.stores.base import KeyRecord, Store


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


async def test_a_revoked_key_is_gone(store: Store) -> None:
    await store.add_key(key("s"))
    assert await store.revoke_key("k1")
    assert not await store.revoke_key("k1")
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
