"""Priorities: the share of the calls of each level of endpoints, pure.

The rules are Envoy's ("Priority levels"): an upstream is over-provisioned, so that a level takes
all its calls until less than 72 % of its endpoints can be used.
"""

from collections.abc import Container, Sequence
from random import Random
from typing import Final, cast

from gateway.upstream.pickers import KeyedPicker, Picker

_OVER_PROVISIONING: Final = 140
"""The percentage of the calls of a level that all its endpoints could take."""


def shares(usable_percents: Sequence[float]) -> tuple[list[int], int]:
    """The percentage of calls for each level, the first preferred, and the sum of their healths.

    The health of a level is 1.4 times the percentage of its endpoints that can be used, and at most
    100. The shares add up to 100, or are all 0 if no endpoint can be used. A sum below 100, and at
    most that, means that all levels together cannot take the calls.
    """
    healths = [min(100, int(percent * _OVER_PROVISIONING / 100)) for percent in usable_percents]
    total = min(100, sum(healths))
    if not total:
        return [0] * len(healths), 0
    left, result = 100, []
    for health in healths:
        share = min(left, round(health * 100 / total))
        result.append(share)
        left -= share
    # The rest from rounding goes to the first level that takes calls.
    first = next(index for index, share in enumerate(result) if share)
    result[first] += left
    return result, total


class Levels:
    """Chooses a level by its share, and then one of its candidates."""

    def __init__(
        self, levels: Sequence[tuple[int, Picker]], sizes: Sequence[int], random: Random
    ) -> None:
        """Takes the share and the picker of each level. The candidates of all levels are in one
        list; `sizes` are the numbers of those of each."""
        self._random = random
        self._levels: list[tuple[int, int, int, Picker]] = []
        until = start = 0
        for (share, picker), size in zip(levels, sizes, strict=True):
            until += share
            self._levels.append((until, start, size, picker))
            start += size

    def pick(self) -> int:
        """The index of the candidate for the next call."""
        drawn = self._random.random() * 100
        for until, start, _, picker in self._levels:
            if drawn < until:
                return start + picker.pick()
        return 0

    def pick_for(self, key: int, tried: Container[int] = ()) -> int:
        """The index of the candidate for a key; needs levels with a `KeyedPicker`.

        The key chooses the level too, so calls with one key stay together. If all of its level are
        in `tried`, the others follow in order.
        """
        drawn = key % 100
        chosen = next(level for level in self._levels if drawn < level[0])
        for _, start, size, picker in (chosen, *self._levels):
            before = {index for index in range(size) if start + index in tried}
            if len(before) < size:
                return start + cast("KeyedPicker", picker).pick_for(key, before)
        return chosen[1]
