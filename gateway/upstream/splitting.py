"""Divides calls among upstreams by weight; calls with the same key stay together.

The point of a call is a number of 64 bits. The upstreams have intervals of them, in the order of
the settings, as long as their weights. While the share of the first grows, it keeps all points that
it had.
"""

from bisect import bisect_right
from collections.abc import Awaitable, Callable, Sequence
from itertools import accumulate
from random import Random
from typing import Final

from xxhash import xxh64_intdigest

from gateway.call import Call, Handler, Reply
from gateway.config.splits import Split, SplitMatch
from gateway.upstream.call_keys import cookie_value, header_value, key_of

_BITS: Final = 64


class Shares:
    """The intervals of points that belong to the upstreams of a split."""

    def __init__(self, split: Split) -> None:
        weights = [one.weight for one in split.to]
        total = sum(weights)
        # Whole numbers: the last interval ends exactly at 2**64, whatever the weights.
        self._ends = [(end << _BITS) // total for end in accumulate(weights)]
        self._seed = xxh64_intdigest(split.name.encode())

    def index_of(self, point: int) -> int:
        """The place, in the settings, of the upstream to which a point of 64 bits belongs."""
        return bisect_right(self._ends, point)

    def point_of(self, key: int) -> int:
        """The point of a key of 64 bits.

        The name of the split counts, so that not always the same callers are in the small share.
        """
        return xxh64_intdigest(key.to_bytes(8, "big"), self._seed)


def split_calls(
    splits: Sequence[Split], to: Callable[[str], Handler], otherwise: Handler, random: Random
) -> Handler:
    """The handler that passes each call to an upstream of the first split that it fits.

    `to` makes the handler for the name of an upstream; `otherwise` gets calls that fit none. The
    upstream of a call is decided once: repeats of it stay there.
    """
    rules = [(condition(one.match), _choice(one, to, random)) for one in splits]

    def send(call: Call) -> Awaitable[Reply]:
        for fits, choose in rules:
            if fits(call):
                return choose(call)(call)
        return otherwise(call)

    return send


def _choice(
    split: Split, to: Callable[[str], Handler], random: Random
) -> Callable[[Call], Handler]:
    handlers, shares = [to(one.upstream) for one in split.to], Shares(split)
    if not split.sticky:
        return lambda _: handlers[shares.index_of(random.getrandbits(_BITS))]
    key = key_of(split.sticky, random)
    return lambda call: handlers[shares.index_of(shares.point_of(key(call)))]


def condition(matches: Sequence[SplitMatch]) -> Callable[[Call], bool]:
    """The function that tells if all of `matches` are true of a call."""
    conditions = [_one_condition(one) for one in matches]
    return lambda call: all(fits(call) for fits in conditions)


def _one_condition(match: SplitMatch) -> Callable[[Call], bool]:
    read, name = (header_value, match.header) if match.header else (cookie_value, match.cookie)
    value = None if match.value is None else match.value.encode()
    prefix = (match.prefix or "").encode()

    def fits(call: Call) -> bool:
        found = read(call.headers, name)
        if not found:
            return False
        return found.startswith(prefix) if value is None else found == value

    return fits
