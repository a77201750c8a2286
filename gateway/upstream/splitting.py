"""Divides calls among upstreams by weight; calls with the same key stay together.

The point of a call is a number of 64 bits. The upstreams have intervals of them, in the order of
the settings, as long as their weights. While the share of the first grows, it keeps all points that
it had.
"""

from bisect import bisect_right
from collections.abc import Awaitable, Callable, Sequence
from itertools import accumulate
from random import Random
from secrets import token_urlsafe
from typing import Final

from xxhash import xxh64_intdigest

from gateway.call import Call, Handler, Reply
from gateway.config.client_networks import Networks
from gateway.config.splits import Split, SplitCookie, SplitMatch
from gateway.upstream.call_keys import KeyOf, cookie_value, header_value, key_of

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
    arms, shares = (
        [(to(one.name), (split.name, one.name)) for one in split.to],
        Shares(split),
    )
    own = split.cookie
    key = key_of(split.sticky, random) if own is None else _key_of_cookie(own)
    is_sticky = own is not None or bool(split.sticky)

    def choose(call: Call) -> Handler:
        point = shares.point_of(key(call)) if is_sticky else random.getrandbits(_BITS)
        handler, call.split = arms[shares.index_of(point)]
        return handler

    return choose


def _key_of_cookie(cookie: SplitCookie) -> KeyOf:
    """The key of a call: that of its cookie, which is set if it is not there.

    It is set for all upstreams alike: one that only some set would drain the others.
    """
    name, flags = cookie.name, f"; Path=/; Max-Age={cookie.max_age_s}; HttpOnly; SameSite=Lax"
    flags += "; Secure" if cookie.secure else ""

    def key(call: Call) -> int:
        value = cookie_value(call.headers, name)
        if not value:
            made = token_urlsafe(12)
            call.response_headers.append(("set-cookie", f"{name}={made}{flags}"))
            value = made.encode()
        return xxh64_intdigest(value)

    return key


def condition(matches: Sequence[SplitMatch]) -> Callable[[Call], bool]:
    """The function that tells if all of `matches` are true of a call."""
    conditions = [_one_condition(one) for one in matches]
    return lambda call: all(fits(call) for fits in conditions)


def _one_condition(match: SplitMatch) -> Callable[[Call], bool]:
    if match.scope:
        return lambda call: call.principal is not None and match.scope in call.principal.scopes
    if match.network is not None:
        network = Networks([match.network])
        return lambda call: network.have(call.peer)
    read = _reader(match)
    value = None if match.value is None else match.value.encode()
    prefix = (match.prefix or "").encode()

    def fits(call: Call) -> bool:
        found = read(call)
        if not found:
            return False
        return found.startswith(prefix) if value is None else found == value

    return fits


def _reader(match: SplitMatch) -> Callable[[Call], bytes | None]:
    """The function that reads the part of a call that a condition is about."""
    if match.header:
        return lambda call: header_value(call.headers, match.header)
    if match.cookie:
        return lambda call: cookie_value(call.headers, match.cookie)

    def of_caller(call: Call) -> bytes | None:
        caller = call.principal
        if caller is None:
            return None
        return (caller.claims.get(match.claim, "") if match.claim else caller.name).encode()

    return of_caller
