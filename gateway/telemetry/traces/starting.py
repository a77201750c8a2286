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
# Module constants, because looking up an enum member takes as long as a small function call.
_ALL: Final = Trust.ALL
_TRUSTED: Final = Trust.TRUSTED


class RawFields(Protocol):
    """The header fields of a request, as received."""

    @property
    def raw(self) -> Sequence[tuple[bytes, bytes]]:
        """The names and values, in order."""


class TraceStarter:
    """Gives each request its trace. All calls come from one thread."""

    def __init__(self, options: TracingOptions) -> None:
        # The lower 64 bits of the id decide, as in OpenTelemetry's SDKs, so that all programs with
        # the same ratio record the same traces. Digits of equal number sort as numbers do.
        bound = round(options.ratio * _ALL_IDS)
        self._bound = f"{bound:016x}" if bound < _ALL_IDS else "g"
        self._trust = options.trust
        # Not `secrets`: ids are no secrets, and a system call for each would be the larger cost.
        self._bits: Final = random.Random().getrandbits  # noqa: S311

    def start(self, traceparent: str, fields: RawFields, *, is_trusted: bool) -> Trace:
        """Returns the trace of a request with this `traceparent`, empty if it has none.

        One that is malformed begins a new trace, without the `tracestate` (section 4.3).
        """
        # All ids from one call. That one is zero, which is not allowed, has a chance of 2^-64.
        digits = f"{self._bits(256):064x}"
        span_id, call_span_id = digits[32:48], digits[48:]
        parent = read_traceparent(traceparent) if traceparent else None
        if parent is None:
            trace_id = digits[:32]
            flags = RANDOM | SAMPLED if trace_id[16:] < self._bound else RANDOM
            return Trace(trace_id, "", span_id, call_span_id, flags, "")
        if self._trust is _ALL or (is_trusted and self._trust is _TRUSTED):
            flags = parent.flag_bits & (RANDOM | SAMPLED)
        else:
            is_sampled = parent.trace_id[16:] < self._bound
            flags = parent.flag_bits & RANDOM | (SAMPLED if is_sampled else 0)
        state = read_tracestate(
            [
                value.decode("latin-1")
                for name, value in fields.raw
                if len(name) == 10 and name.lower() == b"tracestate"
            ]
        )
        return Trace(parent.trace_id, parent.span_id, span_id, call_span_id, flags, state)
