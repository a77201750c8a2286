"""What a store said, remembered for a moment."""

import asyncio
from collections.abc import Callable

import pytest

from gateway.auth.cache import MAX_AGE_S, TtlCache
from gateway.stores.base import StoreUnavailableError
from tests.support.recording import Clock


class Asked:
    """A store that knows "good", and counts how often it is asked."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.answer: Callable[[str], str | None] = {"good": "ada"}.get
        self.came = asyncio.Event()
        self.go = asyncio.Event()
        self.go.set()

    async def __call__(self, text: str) -> str | None:
        self.texts.append(text)
        self.came.set()
        await self.go.wait()
        return self.answer(text)


async def test_an_answer_is_asked_for_once_while_it_is_fresh() -> None:
    clock, asked = Clock(), Asked()
    remembered = TtlCache(asked, clock=clock)
    assert [await remembered("good") for _ in range(3)] == ["ada"] * 3
    assert asked.texts == ["good"]
    clock.now_s += MAX_AGE_S + 0.01
    assert await remembered("good") == "ada"
    assert asked.texts == ["good", "good"]


async def test_that_nobody_is_meant_is_an_answer_too() -> None:
    asked = Asked()
    remembered = TtlCache(asked, clock=Clock())
    assert [await remembered("bad") for _ in range(3)] == [None] * 3
    assert asked.texts == ["bad"]


async def test_what_is_revoked_is_good_for_less_than_a_second_more() -> None:
    clock, asked = Clock(), Asked()
    remembered = TtlCache(asked, clock=clock)
    assert await remembered("good") == "ada"
    asked.answer = lambda _: None
    clock.now_s += 0.99
    assert remembered.cached("good") is None
    assert await remembered("good") is None


async def test_the_age_counts_from_before_the_question() -> None:
    clock, asked = Clock(), Asked()
    asked.go.clear()
    remembered = TtlCache(asked, clock=clock)
    asking = asyncio.create_task(remembered("good"))
    await asked.came.wait()
    clock.now_s += MAX_AGE_S + 0.01
    asked.go.set()
    assert await asking == "ada"
    assert remembered.cached("good") is None


async def test_only_who_is_somebody_is_there_without_waiting() -> None:
    remembered = TtlCache(Asked(), clock=Clock())
    assert remembered.cached("good") is None
    await remembered("good")
    await remembered("bad")
    assert (remembered.cached("good"), remembered.cached("bad")) == ("ada", None)


async def test_the_oldest_is_forgotten_when_there_are_too_many() -> None:
    asked = Asked()
    remembered = TtlCache(asked, most=2, clock=Clock())
    for text in ("a", "b", "c", "c", "a"):
        await remembered(text)
    assert asked.texts == ["a", "b", "c", "a"]
    assert repr(remembered) == "<TtlCache, 2 entries>"


async def test_what_cannot_be_a_secret_is_neither_asked_nor_remembered() -> None:
    asked = Asked()
    remembered = TtlCache(asked, lambda text: text == "good", clock=Clock())
    for number in range(10):
        assert await remembered(f"made up {number}") is None
    assert asked.texts == []
    assert "0 entries" in repr(remembered)


async def test_many_at_once_cost_one_question() -> None:
    asked = Asked()
    asked.go.clear()
    remembered = TtlCache(asked, clock=Clock())
    waiting = [asyncio.create_task(remembered("good")) for _ in range(20)]
    await asyncio.sleep(0)
    asked.go.set()
    assert await asyncio.gather(*waiting) == ["ada"] * 20
    assert asked.texts == ["good"]


async def test_one_that_leaves_takes_the_answer_from_nobody() -> None:
    asked = Asked()
    asked.go.clear()
    remembered = TtlCache(asked, clock=Clock())
    leaving, staying = (asyncio.create_task(remembered("good")) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    asked.go.set()
    assert await staying == "ada"


async def test_a_failure_is_everyones_and_is_not_remembered() -> None:
    asked = Asked()

    def fail(_: str) -> str | None:
        raise StoreUnavailableError("down")

    asked.answer = fail
    remembered = TtlCache(asked, clock=Clock())
    outcomes = await asyncio.gather(remembered("good"), remembered("good"), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [StoreUnavailableError] * 2
    asked.answer = lambda _: "ada"
    assert await remembered("good") == "ada"


async def test_no_secret_is_in_what_it_looks_like() -> None:
    remembered = TtlCache(Asked(), clock=Clock())
    await remembered("good")
    assert "good" not in repr(remembered)
