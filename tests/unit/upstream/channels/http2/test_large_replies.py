"""Large replies share a budget: those that do not fit wait in their order."""

from gateway.upstream.channels.http2.large_replies import LargeReplies, Share


class Asker:
    """Asks for a share, and keeps it and whether it was granted."""

    def __init__(self, budget: LargeReplies, size: int) -> None:
        self.calls = 0
        self.share: Share | None = budget.ask(size, self._on_granted)

    def _on_granted(self) -> None:
        self.calls += 1

    @property
    def is_granted(self) -> bool:
        return self.share is not None and self.share.is_granted


def test_what_fits_is_granted_at_once_and_the_rest_in_order() -> None:
    budget = LargeReplies(100)
    first, second, third, fourth = (Asker(budget, size) for size in (60, 40, 50, 1))
    assert (first.is_granted, second.is_granted) == (True, True)
    assert (third.is_granted, fourth.is_granted) == (False, False)  # it does not overtake
    second.share = None
    assert not third.is_granted
    first.share = None
    assert (third.is_granted, fourth.is_granted) == (True, True)
    assert (third.calls, fourth.calls) == (1, 1)


def test_one_that_is_larger_than_the_budget_is_granted_alone() -> None:
    budget = LargeReplies(100)
    first, large, last = (Asker(budget, size) for size in (1, 1000, 1))
    assert not large.is_granted
    first.share = None
    assert (large.is_granted, last.is_granted) == (True, False)
    large.share = None
    assert last.is_granted


def test_one_that_is_given_back_while_it_waits_is_never_granted() -> None:
    budget = LargeReplies(100)
    first, gone, last = (Asker(budget, 100) for _ in range(3))
    assert gone.share is not None
    gone.share.give_back()
    gone.share.give_back()
    first.share = None
    assert gone.calls == 0
    assert last.is_granted
