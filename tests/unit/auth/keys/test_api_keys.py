"""The life of an API key."""

import pytest

from gateway.auth.keys.api_keys import ApiKeys, KeyRequest
from gateway.auth.names import MalformedError
from gateway.auth.secrets import ACCESS, API_KEY, digest, is_secret, new_secret
from gateway.stores.base import KeyRecord
from gateway.stores.memory import MemoryStore
from tests.support.recording import AuditLog, Clock

ACME = KeyRequest("partners/acme", frozenset({"read"}), 60.0, ("10.0.0.0/8",))


async def test_a_key_is_what_was_asked_for() -> None:
    clock = Clock()
    made = await ApiKeys(MemoryStore(), clock=clock).create(ACME)
    record = made.record
    assert is_secret(made.secret, API_KEY)
    assert record.owner == "partners/acme"
    assert record.scopes == {"read"}
    assert record.networks == ("10.0.0.0/8",)
    assert (record.created_at_s, record.expires_at_s) == (clock.now_s, clock.now_s + 60)


async def test_a_key_for_which_no_end_is_asked_has_none() -> None:
    made = await ApiKeys(MemoryStore()).create(KeyRequest("ada"))
    assert made.record.expires_at_s is None


async def test_the_store_keeps_a_digest_alone_and_nothing_prints_the_secret() -> None:
    store = MemoryStore()
    made = await ApiKeys(store).create(ACME)
    kept = [record async for record in store.list_keys()]
    assert [record.digest for record in kept] == [digest(made.secret)]
    assert made.secret not in repr(made) + repr(kept)
    assert made.record.id not in made.secret


async def test_an_id_that_is_taken_is_not_given_again() -> None:
    class Crowded(MemoryStore):
        ids: tuple[str, ...] = ()

        async def add_key(self, record: KeyRecord) -> KeyRecord | None:
            self.ids = (*self.ids, record.id)
            return await super().add_key(record) if len(self.ids) > 3 else None

    store = Crowded()
    made = await ApiKeys(store).create(ACME)
    assert len(set(store.ids)) == 4
    assert made.record.id == store.ids[-1]


async def test_a_key_is_good_until_it_is_revoked() -> None:
    keys = ApiKeys(MemoryStore())
    made = await keys.create(ACME)
    assert await keys.verify(made.secret) == made.record
    assert await keys.revoke(made.record.id)
    assert await keys.verify(made.secret) is None
    assert not await keys.revoke(made.record.id)


async def test_a_key_is_good_until_it_expires() -> None:
    clock = Clock()
    keys = ApiKeys(MemoryStore(clock), clock=clock)
    made = await keys.create(ACME)
    clock.now_s += 59.9
    assert await keys.verify(made.secret) == made.record
    clock.now_s += 0.1
    assert await keys.verify(made.secret) is None


async def test_a_rotated_key_has_another_secret_at_once() -> None:
    keys = ApiKeys(MemoryStore())
    old = await keys.create(ACME)
    new = await keys.rotate(old.record.id)
    assert new is not None
    assert (new.record.id, new.record.owner) == (old.record.id, "partners/acme")
    assert await keys.verify(new.secret) == new.record
    assert await keys.verify(old.secret) is None


async def test_the_old_secret_of_a_rotated_key_can_be_left_for_a_while() -> None:
    clock = Clock()
    keys = ApiKeys(MemoryStore(clock), clock=clock)
    old = await keys.create(ACME)
    new = await keys.rotate(old.record.id, 10.0)
    assert new is not None
    clock.now_s += 9.9
    assert await keys.verify(old.secret) == await keys.verify(new.secret) == new.record
    clock.now_s += 0.1
    assert await keys.verify(old.secret) is None
    assert await keys.verify(new.secret) == new.record


async def test_only_a_key_that_is_there_is_rotated() -> None:
    assert await ApiKeys(MemoryStore()).rotate("key-of-nobody") is None


async def test_keys_are_listed_by_id_with_what_they_are() -> None:
    keys = ApiKeys(MemoryStore())
    made = [(await keys.create(KeyRequest(owner))).record for owner in ("ada", "bob")]
    listed = [record async for record in keys.list_all()]
    assert listed == sorted(made, key=lambda record: record.id)


async def test_what_is_done_to_keys_is_written_down_without_their_secrets() -> None:
    audit_log = AuditLog()
    keys = ApiKeys(MemoryStore(), audit_log)
    made = await keys.create(ACME)
    rotated = await keys.rotate(made.record.id)
    await keys.revoke(made.record.id)
    await keys.rotate("key-of-nobody")
    await keys.revoke("key-of-nobody")
    who = {"credential": made.record.id, "principal": "partners/acme", "scopes": "read"}
    assert audit_log.events == [
        ("key.created", who),
        ("key.rotated", who),
        ("key.revoked", who),
    ]
    assert rotated is not None
    assert not [one for one in (made, rotated) if one.secret in repr(audit_log)]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("gwk_", id="the prefix alone"),
        pytest.param("gwk_' OR 1=1 --", id="SQL"),
        pytest.param(new_secret(ACCESS), id="a token"),
        pytest.param("gwk_" + new_secret(ACCESS)[4:], id="a token, renamed"),
        pytest.param("gwk_" + "A" * 100_000, id="huge"),
    ],
)
async def test_what_can_be_no_key_is_none_and_asks_no_store(text: str) -> None:
    class Unasked(MemoryStore):
        async def find_key(self, digest: bytes) -> KeyRecord | None:
            raise AssertionError

    assert await ApiKeys(Unasked()).verify(text) is None


@pytest.mark.parametrize(
    "owner",
    [
        pytest.param("", id="empty"),
        pytest.param("  ", id="blank"),
        pytest.param("a" * 257, id="too long"),
        pytest.param("ada\nkey.created", id="a second line"),
        pytest.param("ada\x1b[2J", id="a terminal's escape"),
        pytest.param("ada\u202e", id="text turned around"),
        pytest.param("ada\0", id="nul"),
    ],
)
def test_an_owner_is_one_line_that_is_what_it_looks_like(owner: str) -> None:
    with pytest.raises(MalformedError, match="owner: expected 1 to 256 printable"):
        KeyRequest(owner)


@pytest.mark.parametrize("owner", ["Ann's Büro", "x'; DROP TABLE api_keys; --", '{"a": "b"}', "李"])
async def test_an_owner_may_be_called_anything_that_is_printed(owner: str) -> None:
    keys = ApiKeys(MemoryStore())
    assert (await keys.create(KeyRequest(owner))).record.owner == owner


@pytest.mark.parametrize("scope", ["", "two words", 'quo"ted', "back\\slash", "über", "a\n"])
def test_a_scope_is_a_word_of_oauth(scope: str) -> None:
    with pytest.raises(MalformedError, match="scope: expected"):
        KeyRequest("ada", frozenset({"read", scope}))


@pytest.mark.parametrize("network", ["", "localhost", "10.0.0.1/8", "10.0.0.0/33", "10.0.0", "*"])
def test_a_network_is_exact(network: str) -> None:
    with pytest.raises(MalformedError, match="network: expected"):
        KeyRequest("ada", networks=("::1", network))
