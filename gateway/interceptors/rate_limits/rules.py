"""The rate limits of a method, made ready: what is counted for whom, and what it is called.

Everything that is the same for all calls is worked out here, at start-up.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b

from gateway.auth.client_networks import network_of
from gateway.call import Call
from gateway.policy.options import CountBy, LimitAlgorithm, MethodPolicy, RateLimit
from gateway.schema.catalog import Method
from gateway.status import StartUpError
from gateway.stores.base import Limit, SlidingWindow, TokenBucket

KeyOf = Callable[[Call], str]
"""The counter that a call takes from."""

# What a caller can make long is kept as its digest beyond this.
_LONGEST_NAME = 64


@dataclass(frozen=True, slots=True)
class RateRule:
    """One limit of one method."""

    label: str
    """What it is called in front of callers; no two of a method are called the same."""
    limit: Limit
    key: KeyOf
    prefix: str
    """What all its counters' names begin with."""
    subject: str
    """What tells its counters apart, if that is not to be shown; else empty."""

    def subject_of(self, key: str) -> str:
        """Whom a counter belongs to, for the eyes of whoever is counted."""
        return self.subject or key.removeprefix(self.prefix)


class RateLimitError(StartUpError):
    """Limits that contradict each other, or that no call can pass; a line for each."""


def check_rate_limits(policies: Mapping[Method, MethodPolicy]) -> None:
    """Sees that every limit can be held.

    Raises:
        RateLimitError: some cannot.
    """
    wrong: list[str] = []
    named: dict[str, tuple[str, RateLimit]] = {}
    for method, policy in policies.items():
        for limit in policy.rate_limits:
            if policy.cost > limit.limit:
                wrong.append(
                    f"{method.full_name}: a call costs {policy.cost}, but its limit of "
                    f"{limit.limit} never has as much: lower cost or raise limit"
                )
            first, known = named.setdefault(limit.name, (method.full_name, limit))
            if limit.name and known != limit:
                wrong.append(
                    f"{method.full_name}: its limit {limit.name} is not the one of {first}: "
                    "limits that share a name must be the same, or get names of their own"
                )
    if wrong:
        raise RateLimitError("\n".join(wrong))


def rate_rules(method: str, limits: Sequence[RateLimit]) -> tuple[RateRule, ...]:
    """The limits of `method`, a full name, made ready."""
    rules: dict[str, RateRule] = {}
    labels: set[str] = set()
    for limit in limits:
        prefix = _prefix(method, limit)
        if prefix not in rules:  # said twice is said once
            label = _label(limit, labels)
            labels.add(label)
            rules[prefix] = _rule(label, prefix, limit)
    return tuple(rules.values())


def _rule(label: str, prefix: str, limit: RateLimit) -> RateRule:
    kind = TokenBucket if limit.algorithm is LimitAlgorithm.TOKEN_BUCKET else SlidingWindow
    shown = ""
    match limit.by:
        case CountBy.HEADER:
            shown = f"header:{limit.header}"
        case CountBy.CREDENTIAL | CountBy.METHOD:
            shown = limit.by
    return RateRule(label, kind(limit.limit, limit.window_s), _key_of(limit, prefix), prefix, shown)


def _prefix(method: str, limit: RateLimit) -> str:
    """What the counters of a limit share, and no others: one that is changed starts afresh."""
    whose = f"limit {limit.name}" if limit.name else method
    by = f"{limit.by}={limit.header}" if limit.by is CountBy.HEADER else limit.by
    return f"rate:{whose}:{by}:{limit.algorithm}:{limit.limit}/{limit.window_s:g}:"


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
            return partial(_by_principal, f"{prefix}principal:", by_address)
        case CountBy.CREDENTIAL:
            return partial(_by_credential, f"{prefix}credential:", by_address)
        case CountBy.ADDRESS:
            return partial(_by_address, by_address)
        case CountBy.HEADER:
            return partial(_by_header, f"{prefix}header:", by_address, limit.header)
        case CountBy.METHOD:
            return lambda _: prefix


def _by_principal(prefix: str, by_address: str, call: Call) -> str:
    principal = call.principal
    if principal is None:
        return by_address + network_of(call.peer)
    name = principal.name
    return prefix + (name if len(name) <= _LONGEST_NAME else _digest(name))


def _by_credential(prefix: str, by_address: str, call: Call) -> str:
    principal = call.principal
    if principal is None:
        return by_address + network_of(call.peer)
    name = f"{principal.kind}:{principal.credential or principal.name}"
    return prefix + (name if len(name) <= _LONGEST_NAME else _digest(name))


def _by_address(prefix: str, call: Call) -> str:
    return prefix + network_of(call.peer)


def _by_header(prefix: str, by_address: str, header: str, call: Call) -> str:
    # Who leaves the header out gains nothing by it.
    value = call.headers.get(header)
    return by_address + network_of(call.peer) if value is None else prefix + _digest(value)


def _digest(text: str) -> str:
    """A short name for a text that may be long, or a secret."""
    return blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
