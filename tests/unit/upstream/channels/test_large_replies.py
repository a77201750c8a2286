"""Large replies share a budget: those that do not fit wait in their order."""

import asyncio
import threading

import pytest

from gateway.status import Code, StatusError
from gateway.upstream.channels.large_replies import LARGE_BYTES, LargeReplies, Share
from tests.support.polling import until


def budget_of(budget_bytes: int, wait_s: float = 30.0) -> LargeReplies:
    return LargeReplies("library", budget_bytes, wait_s)


class Asker:
    """Asks for a share, and keeps it and whether it was granted."""

    def __init__(self, budget: LargeReplies, size: int) -> None:
        self.calls = 0
        self.refusals: list[StatusError] = []
        self.share: Share | None = budget.ask(size, self._on_granted, self.refusals.append)

    def _on_granted(self) -> None:
        self.calls += 1

    @property
    def is_granted(self) -> bool:
        return self.share is not None and self.share.is_granted


async def test_what_fits_is_granted_at_once_and_the_rest_in_order() -> None:
    budget = budget_of(100)
    first, second, third, fourth = (Asker(budget, size) for size in (60, 40, 50, 1))
    assert (first.is_granted, second.is_granted) == (True, True)
    assert (third.is_granted, fourth.is_granted) == (False, False)  # it does not overtake
    second.share = None
    assert not third.is_granted
    first.share = None
    assert (third.is_granted, fourth.is_granted) == (True, True)
    assert (third.calls, fourth.calls) == (1, 1)


async def test_one_that_is_larger_than_the_budget_is_granted_alone() -> None:
    budget = budget_of(100)
    first, large, last = (Asker(budget, size) for size in (1, 1000, 1))
    assert not large.is_granted
    first.share = None
    assert (large.is_granted, last.is_granted) == (True, False)
    large.share = None
    assert last.is_granted


async def test_one_that_is_given_back_while_it_waits_is_never_granted() -> None:
    budget = budget_of(100)
    first, gone, last = (Asker(budget, 100) for _ in range(3))
    assert gone.share is not None
    gone.share.give_back()
    gone.share.give_back()
    first.share = None
    assert gone.calls == 0
    assert last.is_granted


async def test_one_that_waits_too_long_is_refused_and_not_granted_later() -> None:
    budget = budget_of(100, wait_s=0.01)
    first, late = Asker(budget, 100), Asker(budget, 1)
    await until(lambda: bool(late.refusals))
    assert late.refusals[0].code is Code.RESOURCE_EXHAUSTED
    first.share = None
    assert (late.calls, Asker(budget, 100).is_granted) == (0, True)


async def test_a_share_that_is_dropped_by_another_thread_is_given_back() -> None:
    budget = budget_of(100)
    held = [budget.ask(100, lambda: None, lambda _: None).held_by(b"x")]
    thread = threading.Thread(target=held.clear)
    thread.start()
    thread.join()
    next_one = Asker(budget, 100)
    await until(lambda: next_one.is_granted)


async def test_messages_that_wait_in_memory_are_bounded_too() -> None:
    size = LARGE_BYTES + 1
    budget = budget_of(2 * size)
    held = [await budget.room(size) for _ in range(2)]
    waiting = [asyncio.create_task(budget.room(size)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(StatusError, match="too many large replies"):
        await budget.room(size)
    held.clear()
    assert all(await asyncio.gather(*waiting))
