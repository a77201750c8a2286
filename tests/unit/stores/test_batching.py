"""Questions that come at once are asked together, and each has its own answer."""

import asyncio
from collections.abc import Sequence

import pytest

from gateway.stores.base import StoreUnavailableError
from gateway.stores.batching import Batches
from tests.support.polling import turns


class Oracle:
    """Answers with the double; as fast as it is let."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def __call__(self, questions: Sequence[int]) -> Sequence[int]:
        self.batches.append(list(questions))
        await self.may_answer.wait()
        if -1 in questions:
            raise StoreUnavailableError("bad luck")
        return [2 * question for question in questions]


async def test_what_comes_at_once_is_asked_together_and_answered_apart() -> None:
    oracle = Oracle()
    ask = Batches(oracle)
    assert await asyncio.gather(*map(ask, range(5))) == [0, 2, 4, 6, 8]
    assert oracle.batches == [[0, 1, 2, 3, 4]]
    assert await ask(7) == 14


async def test_what_comes_meanwhile_is_asked_next() -> None:
    oracle = Oracle()
    ask = Batches(oracle)
    oracle.may_answer.clear()
    first = asyncio.create_task(ask(1))
    await turns()
    later = [asyncio.create_task(ask(n)) for n in (2, 3)]
    await turns()
    assert oracle.batches == [[1]]
    oracle.may_answer.set()
    assert await asyncio.gather(first, *later) == [2, 4, 6]
    assert oracle.batches == [[1], [2, 3]]


async def test_a_batch_has_an_end() -> None:
    oracle = Oracle()
    ask = Batches(oracle)
    assert len(await asyncio.gather(*map(ask, range(250)))) == 250
    assert [len(batch) for batch in oracle.batches] == [100, 100, 50]


async def test_a_failure_is_told_to_all_of_its_batch_and_to_nobody_else() -> None:
    oracle = Oracle()
    ask = Batches(oracle)
    answers = await asyncio.gather(ask(1), ask(-1), return_exceptions=True)
    assert [type(answer) for answer in answers] == [StoreUnavailableError] * 2
    assert await ask(1) == 2


async def test_who_leaves_before_the_turn_is_not_asked_for() -> None:
    oracle = Oracle()
    ask = Batches(oracle)
    oracle.may_answer.clear()
    first = asyncio.create_task(ask(1))
    await turns()
    leaver, stayer = asyncio.create_task(ask(2)), asyncio.create_task(ask(3))
    await turns()
    leaver.cancel()
    oracle.may_answer.set()
    assert [await first, await stayer] == [2, 6]
    assert oracle.batches == [[1], [3]]


async def test_who_leaves_during_the_turn_takes_no_answer_from_others() -> None:
    oracle = Oracle()
    ask = Batches(oracle)
    oracle.may_answer.clear()
    leaver, stayer = asyncio.create_task(ask(1)), asyncio.create_task(ask(2))
    await turns()
    leaver.cancel()
    oracle.may_answer.set()
    assert await stayer == 4


async def test_closing_leaves_nobody_waiting() -> None:
    oracle = Oracle()
    ask = Batches(oracle)
    oracle.may_answer.clear()
    first = asyncio.create_task(ask(1))
    await turns()
    second = asyncio.create_task(ask(2))
    await turns()
    await ask.close()
    for task in (first, second):
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_closing_what_was_never_asked_is_nothing() -> None:
    await Batches(Oracle()).close()
