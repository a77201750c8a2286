"""Begins the trace of a request, or continues that of its client, and decides on sampling.

Sources: W3C Trace Context, sections 3.4 and 4.3; OpenTelemetry specification, "Trace SDK",
`ParentBased` and `TraceIdRatioBased`.
"""

import random
from collections.abc import Sequence
from typing import Final, Protocol

from gateway.config.tracing import TracingOptions, Trust
from gateway.trace_context import (
    RANDOM,
    SAMPLED,
    Trace,
    read_traceparent,
    read_tracestate,
)

_ALL_IDS: Final = 1 << 64
_DIGITS_OF_IDS: Final = 64
_DIGITS_OF_SPANS: Final = 32
_DIGITS_AT_ONCE: Final = 64 * _DIGITS_OF_IDS
# Module constants, because looking up an enum member takes as long as a small function call.
_SAMPLED: Final = RANDOM | SAMPLED
_ALL: Final = Trust.ALL
_TRUSTED: Final = Trust.TRUSTED


class RawFields(Protocol):
    """The header fields of a request, as received."""

    @property
    def raw(self) -> Sequence[tuple[bytes, bytes]]:
        """The names and values, in order."""

    def count(self, lower_name: bytes) -> int:
        """Returns the number of fields with a name in lower case."""


class TraceStarter:
    """Gives each request its trace. All calls come from one thread."""

    def __init__(self, options: TracingOptions) -> None:
        # The lower 64 bits of the id decide, as in OpenTelemetry's SDKs, so that all programs with
        # the same ratio record the same traces. Digits of equal number sort as numbers do.
        bound = round(options.ratio * _ALL_IDS)
        self._bound = f"{bound:016x}" if bound < _ALL_IDS else "g"
        self._trust = options.trust
        # Not `secrets`: ids are no secrets, and a system call for each would be the larger cost.
        self._random: Final = random.Random()  # noqa: S311
        # Random digits for many requests are made at once, for a fifth of the cost.
        self._digits = ""
        self._used = 0

    def begin(self) -> Trace:
        """Returns the trace of a request that has no valid `traceparent`."""
        ids = self._new_digits(_DIGITS_OF_IDS)
        return Trace(ids, "", _SAMPLED if ids[16:32] < self._bound else RANDOM, "")

    def start(self, traceparent: str, fields: RawFields, *, is_trusted: bool) -> Trace:
        """Returns the trace of a request with this `traceparent`.

        One that is malformed begins a new trace, without the `tracestate` (section 4.3).
        """
        parent = read_traceparent(traceparent)
        if parent is None:
            return self.begin()
        if self._trust is _ALL or (is_trusted and self._trust is _TRUSTED):
            flags = parent.flag_bits & (RANDOM | SAMPLED)
        else:
            is_sampled = parent.trace_id[16:] < self._bound
            flags = parent.flag_bits & RANDOM | (SAMPLED if is_sampled else 0)
        # Counted first: most requests have none, and to make all fields of lines costs more.
        state = _tracestate(fields) if fields.count(b"tracestate") else ""
        ids = parent.trace_id + self._new_digits(_DIGITS_OF_SPANS)
        return Trace(ids, parent.span_id, flags, state)

    def _new_digits(self, number: int) -> str:
        """Returns random digits for the ids of a request.

        That one of the ids is zero, which is not allowed, has a chance of 2^-64.
        """
        used = self._used
        if used + number > len(self._digits):
            self._digits = self._random.randbytes(_DIGITS_AT_ONCE // 2).hex()
            used = 0
        self._used = end = used + number
        return self._digits[used:end]


def _tracestate(fields: RawFields) -> str:
    return read_tracestate(
        [
            value.decode("latin-1")
            for name, value in fields.raw
            if len(name) == 10 and name.lower() == b"tracestate"
        ]
    )
