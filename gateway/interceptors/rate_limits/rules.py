"""The counters of the rate limits of a method: their keys, and the labels of the limits.

Everything that is the same for all calls is computed here, at start-up.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import Final

from gateway.auth.client_networks import network_of
from gateway.call import Call, Method
from gateway.config.policy import CountBy, LimitAlgorithm, RateLimit
from gateway.policy.options import MethodPolicy
from gateway.status import StartUpError
from gateway.stores.base import Limit, SlidingWindow, TokenBucket

KeyOf = Callable[[Call], str]
"""Maps a call to the key of the counter that it takes from."""

ALL_COUNTERS = "rate:"
"""The beginning of the keys of all counters of rate limits."""

# Longer names are stored as their digests, because callers choose their length.
_LONGEST_NAME = 64
_MOST_KEYS: Final = 32


@dataclass(frozen=True, slots=True)
class Counters:
    """The counters of one limit of one method."""

    label: str
    """The name of the limit in responses; unique within a method."""
    limit: Limit
    """The limit that each counter holds."""
    key: KeyOf
    prefix: str
    """The beginning of the keys of all its counters."""
    subject: str
    """The property that distinguishes its counters, if its value is secret; otherwise empty."""

    def subject_of(self, key: str) -> str:
        """Names the owner of a counter, for the caller that it counts."""
        return self.subject or key.removeprefix(self.prefix)


class _ByPrincipal:
    """Maps calls to the keys of counters of principals; each key is made once."""

    def __init__(self, prefix: str, by_address: str) -> None:
        self._prefix = prefix
        self._by_address = by_address
        self._keys: dict[str, str] = {}

    def __call__(self, call: Call) -> str:
        principal = call.principal
        if principal is None:
            return self._by_address + network_of(call.peer)
        name = principal.name
        # One text for all calls of a principal: its hash, for the counters, is computed once.
        key = self._keys.get(name)
        if key is None:
            key = self._prefix + _short(name)
            if len(name) <= _LONGEST_NAME:
                if len(self._keys) >= _MOST_KEYS:
                    self._keys.clear()
                self._keys[name] = key
        return key


class RateLimitError(StartUpError):
    """Limits that contradict each other or that no call can pass; one line for each."""


def check_rate_limits(policies: Mapping[Method, MethodPolicy]) -> None:
    """Rejects limits that cannot be applied.

    Raises:
        RateLimitError: a call costs more than a limit has, or limits of one name differ.
    """
    wrong: list[str] = []
    named: dict[str, tuple[str, RateLimit]] = {}
    for method, policy in policies.items():
        for limit in policy.rate_limits:
            if policy.cost > limit.limit:
                wrong.append(
                    f"{method.full_name}: a call costs {policy.cost}, but its limit of "
                    f"{limit.limit} is lower: lower cost or raise limit"
                )
            first, known = named.setdefault(limit.name, (method.full_name, limit))
            if limit.name and known != limit:
                wrong.append(
                    f"{method.full_name}: its limit {limit.name} differs from that of {first}: "
                    "limits that share a name must be equal, or have different names"
                )
    if wrong:
        raise RateLimitError("\n".join(wrong))


def counters_of(method: str, limits: Sequence[RateLimit]) -> tuple[Counters, ...]:
    """Returns the counters of the limits of `method`, a full name."""
    found: dict[str, Counters] = {}
    labels: set[str] = set()
    for limit in limits:
        prefix = _prefix(method, limit)
        if prefix not in found:  # equal limits are one limit
            label = _label(limit, labels)
            labels.add(label)
            found[prefix] = _counters(label, prefix, limit)
    return tuple(found.values())


def _counters(label: str, prefix: str, limit: RateLimit) -> Counters:
    kind = TokenBucket if limit.algorithm is LimitAlgorithm.TOKEN_BUCKET else SlidingWindow
    shown = ""
    match limit.by:
        case CountBy.HEADER:
            shown = f"header:{limit.header}"
        case CountBy.CREDENTIAL | CountBy.METHOD:
            shown = limit.by
    return Counters(label, kind(limit.limit, limit.window_s), _key_of(limit, prefix), prefix, shown)


def _prefix(method: str, limit: RateLimit) -> str:
    """Returns the prefix of the keys of a limit's counters; a changed limit has new counters."""
    owner = f"limit {limit.name}" if limit.name else method
    by = f"{limit.by}={limit.header}" if limit.by is CountBy.HEADER else limit.by
    return f"{ALL_COUNTERS}{owner}:{by}:{limit.algorithm}:{limit.limit}/{limit.window_s:g}:"


def _label(limit: RateLimit, taken: set[str]) -> str:
    by = limit.header if limit.by is CountBy.HEADER else limit.by
    label = wanted = limit.name or f"{by}-{limit.window_s:g}s"
    number = 1
    while label in taken:
        number += 1
        label = f"{wanted}-{number}"
    return label


def _key_of(limit: RateLimit, prefix: str) -> KeyOf:
    by_address = f"{prefix}address:"
    match limit.by:
        case CountBy.PRINCIPAL:
            return _ByPrincipal(f"{prefix}principal:", by_address)
        case CountBy.CREDENTIAL:
            return partial(_by_credential, f"{prefix}credential:", by_address)
        case CountBy.ADDRESS:
            return partial(_by_address, by_address)
        case CountBy.HEADER:
            return partial(_by_header, f"{prefix}header:", by_address, limit.header)
        case CountBy.METHOD:
            return lambda _: prefix


def key_end(by: str, name: str) -> str:
    """Returns the end of the keys that count a `principal`, an API `key` or an `address`."""
    if by == "principal":
        return f"principal:{_short(name)}"
    return f"credential:{_short(f'key:{name}')}" if by == "key" else f"address:{network_of(name)}"


def _by_credential(prefix: str, by_address: str, call: Call) -> str:
    principal = call.principal
    if principal is None:
        return by_address + network_of(call.peer)
    return prefix + _short(f"{principal.kind}:{principal.credential or principal.name}")


def _by_address(prefix: str, call: Call) -> str:
    return prefix + network_of(call.peer)


def _by_header(prefix: str, by_address: str, header: str, call: Call) -> str:
    # A call without the header is counted by its address, so that omitting it gains nothing.
    value = call.headers.get(header)
    return by_address + network_of(call.peer) if value is None else prefix + _digest(value)


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else _digest(name)


def _digest(text: str) -> str:
    """Shortens a text that may be long or secret."""
    return blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
