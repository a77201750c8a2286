"""Claims of idempotency keys: one owner at a time, free or unknown once the owner is gone."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.stores.claims import Claim, ClaimState, ClaimStore
from gateway.stores.opening import open_store
from tests.support.polling import first

LONG_S, SHORT_S = 60.0, 0.05


@pytest.fixture(params=["memory", "redis"])
async def claims(request: pytest.FixtureRequest) -> AsyncIterator[ClaimStore]:
    url = "memory:" if request.param == "memory" else request.getfixturevalue("redis_url")
    suffix = "" if url == "memory:" else f"?prefix={request.node.name}:"
    async with open_store(url + suffix) as store:
        assert store.claims is not None
        yield store.claims


def claim(
    token: str, *, lease_s: float = LONG_S, ttl_s: float = LONG_S, takes_over: bool = False
) -> Claim:
    return Claim(token, b"\x00same", lease_s, ttl_s, takes_over)


async def test_of_concurrent_attempts_one_is_granted(claims: ClaimStore) -> None:
    made = await asyncio.gather(*[claims.claim("k", claim(f"t{n}")) for n in range(50)])
    states = [one.state for one in made]
    assert states.count(ClaimState.GRANTED) == 1
    assert states.count(ClaimState.RUNNING) == 49


async def test_a_settled_key_gives_its_record(claims: ClaimStore) -> None:
    await claims.claim("k", claim("a"))
    assert await claims.hold("k", "a", LONG_S)
    assert await claims.settle("k", "a", b"\x00\xffrecord")
    assert await claims.claim("k", claim("b")) == (ClaimState.SETTLED, b"\x00\xffrecord")
    assert not await claims.settle("k", "a", b"again")


async def test_another_request_cannot_use_the_key(claims: ClaimStore) -> None:
    await claims.claim("k", claim("a"))
    other = Claim("b", b"other", LONG_S, LONG_S, takes_over=True)
    assert (await claims.claim("k", other)).state is ClaimState.REUSED


async def test_only_the_owner_ends_a_claim(claims: ClaimStore) -> None:
    await claims.claim("k", claim("a"))
    assert not await claims.hold("k", "b", LONG_S)
    assert not await claims.settle("k", "b", b"")
    assert not await claims.release("k", "b")
    assert not await claims.release("none", "b")
    assert (await claims.claim("k", claim("b"))).state is ClaimState.RUNNING


async def test_a_released_key_is_free(claims: ClaimStore) -> None:
    await claims.claim("k", claim("a"))
    await claims.hold("k", "a", LONG_S)
    assert await claims.release("k", "a")
    assert (await claims.claim("k", claim("b"))).state is ClaimState.GRANTED


async def test_a_key_whose_owner_has_gone_before_it_sent_is_free_after_the_lease(
    claims: ClaimStore,
) -> None:
    await claims.claim("k", claim("gone", lease_s=SHORT_S))
    made = await first(
        lambda: claims.claim("k", claim("b")), lambda one: one.state is not ClaimState.RUNNING
    )
    assert made.state is ClaimState.GRANTED
    assert not await claims.settle("k", "gone", b"late")


async def test_a_key_whose_owner_has_gone_after_it_sent_is_unknown_after_the_lease(
    claims: ClaimStore,
) -> None:
    await claims.claim("k", claim("gone"))
    await claims.hold("k", "gone", SHORT_S)
    made = await first(
        lambda: claims.claim("k", claim("b")), lambda one: one.state is not ClaimState.RUNNING
    )
    assert made.state is ClaimState.UNKNOWN
    assert (await claims.claim("k", claim("c", takes_over=True))).state is ClaimState.GRANTED
    assert (await claims.claim("k", claim("d", takes_over=True))).state is ClaimState.RUNNING
    assert not await claims.settle("k", "gone", b"late")
    assert await claims.settle("k", "c", b"done")


async def test_an_unknown_outcome_is_taken_over_only_by_those_who_may(claims: ClaimStore) -> None:
    await claims.claim("k", claim("a"))
    await claims.settle("k", "a", None)
    assert (await claims.claim("k", claim("b"))).state is ClaimState.UNKNOWN
    assert (await claims.claim("k", claim("c", takes_over=True))).state is ClaimState.GRANTED


async def test_a_key_is_forgotten_at_the_end_of_its_time(claims: ClaimStore) -> None:
    await claims.claim("k", claim("a", lease_s=SHORT_S, ttl_s=SHORT_S))
    await claims.settle("k", "a", b"done")
    made = await first(
        lambda: claims.claim("k", claim("b")), lambda one: one.state is not ClaimState.SETTLED
    )
    assert made.state is ClaimState.GRANTED


async def test_a_lease_that_is_renewed_outlives_its_key(claims: ClaimStore) -> None:
    await claims.claim("k", claim("a", lease_s=LONG_S, ttl_s=LONG_S))
    assert await claims.hold("k", "a", 2 * LONG_S)
    assert await claims.settle("k", "a", b"done")
