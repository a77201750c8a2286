"""The shares of priorities: Envoy's examples, and the choice between levels."""

from collections import Counter
from collections.abc import Container
from random import Random

import pytest

from gateway.upstream.levels import Levels, shares


@pytest.mark.parametrize(
    ("usable", "expected", "total"),
    [
        ([72, 0], [100, 0], 100),
        ([72, 72], [100, 0], 100),
        ([71, 100], [99, 1], 100),
        ([50, 100], [70, 30], 100),
        ([25, 100], [35, 65], 100),
        ([25, 25], [50, 50], 70),
        ([0, 100], [0, 100], 100),
        ([5, 65], [7, 93], 98),
        ([0, 0], [0, 0], 0),
        ([25, 25, 100], [35, 35, 30], 100),
        ([100 / 3, 100 / 3, 0], [50, 50, 0], 92),
        ([1, 0, 0], [100, 0, 0], 1),
    ],
)
def test_the_shares_are_those_of_envoy(
    usable: list[float], expected: list[int], total: int
) -> None:
    assert shares(usable) == (expected, total)


def test_shares_always_add_up_to_100() -> None:
    random = Random(1)
    for _ in range(1000):
        found, total = shares([random.randrange(101) for _ in range(random.randrange(2, 6))])
        assert sum(found) == (100 if total else 0)


class Fixed:
    """Always the same candidate of its level."""

    def __init__(self, index: int) -> None:
        self.index = index

    def pick(self) -> int:
        return self.index

    def pick_for(self, key: int, tried: Container[int] = ()) -> int:
        return next(index for index in (self.index, 0, 1) if index not in tried)


def levels() -> Levels:
    return Levels([(70, Fixed(1)), (30, Fixed(0))], [2, 3], Random(1))


def test_levels_get_their_shares() -> None:
    picker = levels()
    counted = Counter(picker.pick() for _ in range(10_000))
    assert set(counted) == {1, 2}
    assert counted[1] == pytest.approx(7000, abs=150)


def test_a_key_stays_at_its_level_while_one_there_is_untried() -> None:
    picker = levels()
    counted = Counter(picker.pick_for(key) for key in range(1000))
    assert counted == {1: 700, 2: 300}
    assert picker.pick_for(10, {1}) == 0
    assert picker.pick_for(10, {0, 1}) == 2
    assert picker.pick_for(90, {2, 3, 4}) == 1
    assert picker.pick_for(90, {0, 1, 2, 3, 4}) == 2
