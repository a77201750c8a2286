"""API keys as credentials."""

import asyncio
import time

import pytest

from gateway.auth.keys.api_keys import ApiKeys, KeyRequest, MadeKey
from gateway.auth.keys.authenticator import KeyAuthenticator
from gateway.auth.secrets import ACCESS, API_KEY, new_secret
from gateway.call import Call
from gateway.status import Code, StatusError
from gateway.stores.base import KeyRecord, StoreUnavailableError
from gateway.stores.memory import MemoryStore
from tests.support.front_end import schema
from tests.support.recording import AuditLog, Clock

HEADER = "X-API-Key"


class Store(MemoryStore):
    """Counts what it is asked, and can be out of reach."""

    def __init__(self) -> None:
        super().__init__(lambda: time.time() + self.clock_ahead_s)
        self.clock_ahead_s = 0.0
        self.asked = 0
        self.touched: list[str] = []
        self.is_down = False

    async def find_key(self, digest: bytes) -> KeyRecord | None:
        self.asked += 1
        if self.is_down:
            raise StoreUnavailableError("redis at 10.1.1.1: refused")
        return await super().find_key(digest)

    async def touch_key(self, key_id: str) -> None:
        self.touched.append(key_id)
        if self.is_down:
            raise StoreUnavailableError("redis at 10.1.1.1: refused")
        await super().touch_key(key_id)


class Setup:
    """An authenticator on a store, with one key in it."""

    def __init__(self, store: Store, made: MadeKey) -> None:
        self.store = store
        self.made = made
        self.keys = ApiKeys(store)
        self.audit_log = AuditLog()
        self.clock = Clock()
        self.authenticator = KeyAuthenticator(self.keys, HEADER, self.audit_log, self.clock)

    async def refusal(self, call: Call) -> StatusError:
        with pytest.raises(StatusError) as refused:
            await self.authenticator.authenticate(call)
        return refused.value


async def set_up(*networks: str) -> Setup:
    store = Store()
    request = KeyRequest("partners/acme", frozenset({"read"}), networks=networks)
    return Setup(store, await ApiKeys(store).create(request))


def call(key: str | None, peer: str = "192.0.2.1") -> Call:
    headers = {} if key is None else {HEADER: key}
    return Call(schema().methods["front.v1.Front.GetItem"], headers=headers, peer=peer)


async def test_a_good_key_is_its_owner() -> None:
    setup = await set_up()
    principal = await setup.authenticator.authenticate(call(setup.made.secret))
    assert principal is not None
    assert principal.name == "partners/acme"
    assert principal.scopes == {"read"}
    assert (principal.kind, principal.credential) == ("key", setup.made.record.id)


async def test_who_shows_no_key_is_left_to_others() -> None:
    setup = await set_up()
    assert await setup.authenticator.authenticate(call(None)) is None
    assert setup.store.asked == 0


@pytest.mark.parametrize(
    ("key", "asked"),
    [
        pytest.param(new_secret(API_KEY), 1, id="never made"),
        pytest.param(new_secret(API_KEY)[:-1] + "!", 0, id="tampered with"),
        pytest.param("", 0, id="empty"),
        pytest.param("secret", 0, id="a foreign look"),
        pytest.param("sk_live_" + "A" * 40, 0, id="a foreign prefix"),
        pytest.param(new_secret(ACCESS), 0, id="a token"),
        pytest.param(f"Bearer {new_secret(API_KEY)}", 0, id="with a scheme"),
        pytest.param("gwk_' OR 1=1 --", 0, id="SQL"),
        pytest.param("gwk_" + "A" * 15_000, 0, id="huge"),
    ],
)
async def test_a_bad_key_is_refused_and_a_made_up_one_asks_no_store(key: str, asked: int) -> None:
    setup = await set_up()
    refusal = await setup.refusal(call(key))
    assert refusal.code is Code.UNAUTHENTICATED
    assert dict(refusal.headers) == {"WWW-Authenticate": 'ApiKey header="X-API-Key"'}
    assert not key or key not in refusal.message
    assert setup.store.asked == asked


async def test_no_two_reasons_to_refuse_a_key_can_be_told_apart() -> None:
    setup = await set_up("10.0.0.0/8")
    keys = setup.keys
    gone = await keys.create(KeyRequest("bob"))
    await keys.revoke(gone.record.id)
    late = await keys.create(KeyRequest("bob", ttl_s=1e-9))
    old = await keys.create(KeyRequest("bob"))
    await keys.rotate(old.record.id)
    shown = [new_secret(API_KEY), gone.secret, late.secret, old.secret, setup.made.secret]
    told, questions = [], []
    for secret in shown:
        before = setup.store.asked
        refusal = await setup.refusal(call(secret))
        told.append((refusal.code, refusal.message, tuple(refusal.headers)))
        questions.append(setup.store.asked - before)
    assert len(set(told)) == 1
    assert questions == [1] * 5


async def test_a_known_key_costs_the_store_one_question() -> None:
    setup = await set_up()
    shown = call(setup.made.secret)
    first = await setup.authenticator.authenticate(shown)
    assert all([await setup.authenticator.authenticate(shown) is first for _ in range(10)])
    assert setup.store.asked == 1


@pytest.mark.parametrize(
    ("networks", "peer", "is_good"),
    [
        pytest.param((), "192.0.2.1", True, id="anywhere"),
        pytest.param((), "", True, id="anywhere, over a Unix socket"),
        pytest.param(("10.0.0.0/8",), "10.255.0.1", True, id="inside"),
        pytest.param(("10.0.0.0/8",), "11.0.0.1", False, id="outside"),
        pytest.param(("10.0.0.0/8", "192.0.2.1"), "192.0.2.1", True, id="the second"),
        pytest.param(("10.0.0.0/8",), "::ffff:10.0.0.1", True, id="IPv4 in IPv6"),
        pytest.param(("2001:db8::/32",), "2001:db8::7", True, id="IPv6"),
        pytest.param(("2001:db8::/32",), "10.0.0.1", False, id="IPv4 where IPv6 may"),
        pytest.param(("0.0.0.0/0",), "", False, id="no address"),
        pytest.param(("0.0.0.0/0",), "10.0.0.1, 10.0.0.2", False, id="two addresses"),
    ],
)
async def test_a_key_is_good_where_it_may_be_used(
    networks: tuple[str, ...], peer: str, is_good: bool
) -> None:
    setup = await set_up(*networks)
    shown = call(setup.made.secret, peer)
    if is_good:
        assert await setup.authenticator.authenticate(shown) is not None
    else:
        assert (await setup.refusal(shown)).code is Code.UNAUTHENTICATED


async def test_a_key_from_elsewhere_is_written_down_and_is_no_use_of_it() -> None:
    setup = await set_up("10.0.0.0/8")
    await setup.refusal(call(setup.made.secret, "192.0.2.1"))
    await setup.authenticator.close()
    assert setup.audit_log.names == ["policy.refused"]
    fields = setup.audit_log.events[0][1]
    assert (fields["credential"], fields["peer"]) == (setup.made.record.id, "192.0.2.1")
    assert setup.made.secret not in repr(setup.audit_log)
    assert setup.store.touched == []


async def test_the_place_counts_at_every_call() -> None:
    setup = await set_up("10.0.0.0/8")
    assert await setup.authenticator.authenticate(call(setup.made.secret, "10.0.0.1"))
    await setup.refusal(call(setup.made.secret, "11.0.0.1"))


async def test_while_the_store_is_out_of_reach_nobody_is_let_in_and_told_why() -> None:
    setup = await set_up()
    shown = call(setup.made.secret)
    setup.store.is_down = True
    refusal = await setup.refusal(shown)
    assert refusal.code is Code.UNAVAILABLE
    assert "10.1.1.1" not in refusal.message
    assert [detail.TypeName() for detail in refusal.details] == ["google.rpc.RetryInfo"]
    setup.store.is_down = False
    assert await setup.authenticator.authenticate(shown) is not None


async def test_the_first_use_is_noted() -> None:
    setup = await set_up()
    before_s = time.time()
    for _ in range(10):
        await setup.authenticator.authenticate(call(setup.made.secret))
    await setup.authenticator.close()
    assert setup.store.touched == [setup.made.record.id]
    record = await setup.keys.verify(setup.made.secret)
    assert record is not None
    assert before_s <= (record.last_used_at_s or 0) <= time.time()


@pytest.mark.parametrize(
    ("ago_s", "times"),
    [pytest.param(50.0, 1, id="lately"), pytest.param(61.0, 2, id="a minute ago")],
)
async def test_a_use_is_noted_once_a_minute(ago_s: float, times: int) -> None:
    setup = await set_up()
    for _ in range(2):
        await setup.authenticator.authenticate(call(setup.made.secret))
        await setup.authenticator.close()
        setup.clock.now_s += ago_s
    assert len(setup.store.touched) == times


@pytest.mark.parametrize("ahead_s", [-3600.0, 3600.0])
async def test_a_use_is_noted_once_a_minute_whatever_the_clock_of_the_store(ahead_s: float) -> None:
    setup = await set_up()
    setup.store.clock_ahead_s = ahead_s
    for _ in range(3):
        await setup.authenticator.authenticate(call(setup.made.secret))
        await setup.authenticator.close()
        setup.clock.now_s += 1  # so that the store is asked for the key again
    assert setup.store.asked == 3
    assert len(setup.store.touched) == 1


async def test_a_use_that_cannot_be_noted_fails_no_call() -> None:
    setup = await set_up()
    shown = call(setup.made.secret)
    assert await setup.authenticator.authenticate(shown) is not None
    setup.store.is_down = True
    await setup.authenticator.close()
    assert setup.store.touched == [setup.made.record.id]
    assert await setup.authenticator.authenticate(shown) is not None


async def test_noting_a_use_makes_no_call_wait() -> None:
    class Slow(Store):
        go = asyncio.Event()

        async def touch_key(self, key_id: str) -> None:
            await self.go.wait()
            await super().touch_key(key_id)

    store = Slow()
    setup = Setup(store, await ApiKeys(store).create(KeyRequest("ada")))
    assert await setup.authenticator.authenticate(call(setup.made.secret)) is not None
    assert store.touched == []
    store.go.set()
    await setup.authenticator.close()
    assert len(store.touched) == 1
