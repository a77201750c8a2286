"""Begins the trace of a request, or continues that of its client, and decides on sampling.

Sources: W3C Trace Context, sections 3.4 and 4.3; OpenTelemetry specification, "Trace SDK",
`ParentBased` and `TraceIdRatioBased`.
"""

import random
from collections.abc import Callable
from typing import Any, Final

from gateway.config.tracing import TracingOptions, Trust
from gateway.trace_context import (
    RANDOM,
    SAMPLED,
    Trace,
    read_traceparent,
    read_tracestate,
)
from gateway.transcoding.json.native import native_module

_ALL_IDS: Final = 1 << 64
_DIGITS_OF_ID: Final = 16
_DIGITS_AT_ONCE: Final = 256 * _DIGITS_OF_ID
_SAMPLED: Final = RANDOM | SAMPLED


class TraceIds:
    """The ids of traces and spans, and which traces are recorded: the definition of the native one.

    Both return the `traceparent` that `Trace.place` takes.
    """

    def __init__(self, bound: int) -> None:
        """Takes how many of the 2^64 values of the lower bits of a trace's id are recorded."""
        # Digits of equal number sort as numbers do.
        self._bound = f"{bound:016x}" if bound < _ALL_IDS else "g"
        # Not `secrets`: ids are no secrets, and a system call for each would be the larger cost.
        self._random: Final = random.Random()  # noqa: S311
        # Random digits for many requests are made at once, for a fifth of the cost.
        self._digits = ""
        self._used = 0

    def begin(self) -> bytes:
        """Begins a trace."""
        trace_id = self._new_id() + self._new_id()
        flags = _SAMPLED if trace_id[_DIGITS_OF_ID:] < self._bound else RANDOM
        return f"00-{trace_id}-{self._new_id()}-0{flags}".encode()

    def go_on(self, traceparent: str) -> bytes | None:
        """Continues the trace of a `traceparent`; returns None if that is malformed."""
        return self._continued(traceparent, obeys=False)

    def obey(self, traceparent: str) -> bytes | None:
        """Does the same, and obeys what the client has decided on sampling."""
        return self._continued(traceparent, obeys=True)

    def _continued(self, traceparent: str, *, obeys: bool) -> bytes | None:
        parent = read_traceparent(traceparent)
        if parent is None:
            return None
        flags = parent.flag_bits & (RANDOM | SAMPLED)
        if not obeys:
            is_sampled = parent.trace_id[_DIGITS_OF_ID:] < self._bound
            flags = flags & RANDOM | (SAMPLED if is_sampled else 0)
        return f"00-{parent.trace_id}-{self._new_id()}-0{flags}".encode()

    def _new_id(self) -> str:
        """Returns the random digits of the id of a span, or of half the id of a trace.

        That an id is zero, which is not allowed, has a chance of 2^-64.
        """
        used = self._used
        if used + _DIGITS_OF_ID > len(self._digits):
            self._digits = self._random.randbytes(_DIGITS_AT_ONCE // 2).hex()
            used = 0
        self._used = end = used + _DIGITS_OF_ID
        return self._digits[used:end]


class TraceStarter:
    """Gives each request its place in a trace. All calls come from one thread."""

    def __init__(self, options: TracingOptions) -> None:
        # The lower 64 bits of the id decide, as in OpenTelemetry's SDKs, so that all programs with
        # the same ratio record the same traces.
        bound = round(options.ratio * _ALL_IDS)
        module = native_module()
        ids: Any = TraceIds(bound) if module is None else module.TraceIds(bound)
        self._begin: Callable[[], bytes] = ids.begin
        trust = options.trust
        self._go_on: Callable[[str], bytes | None] = ids.obey if trust is Trust.ALL else ids.go_on
        self._go_on_trusted: Callable[[str], bytes | None] = (
            ids.go_on if trust is Trust.NONE else ids.obey
        )
        self._is_usual: Callable[[str], bool] | None = (
            None if module is None else module.is_usual_tracestate
        )

    def begin(self, trace: Trace) -> None:
        """Begins a trace, for a request that has no valid `traceparent`."""
        trace.place(self._begin(), "", "")

    def start(self, trace: Trace, traceparent: str, tracestate: str, *, is_trusted: bool) -> None:
        """Continues the trace of a request with this `traceparent` and `tracestate`.

        A `traceparent` that is malformed begins a new trace, without the `tracestate` (section
        4.3). Several lines of `tracestate` are joined by commas; empty stands for none.
        """
        text = self._go_on_trusted(traceparent) if is_trusted else self._go_on(traceparent)
        if text is None:
            self.begin(trace)
            return
        # Most are passed on as they are: to split one would cost a tenth of a request.
        if tracestate and (self._is_usual is None or not self._is_usual(tracestate)):
            tracestate = read_tracestate(tracestate)
        trace.place(text, traceparent, tracestate)
