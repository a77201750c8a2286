"""The place of each request in its trace, found when its call or its record first needs it."""

from collections.abc import Callable
from typing import Final

from gateway.http.header_fields import TRACESTATE, HeaderFields
from gateway.http.messages import Request, Trace
from gateway.telemetry.traces.starting import TraceStarter

_TRACESTATE: Final = b"tracestate"


class RequestTraces:
    """Gives requests their places in traces, from their header fields."""

    def __init__(self, starter: TraceStarter, trusts: Callable[[str], bool] | None) -> None:
        """Takes `trusts`, which tells of the address of a peer whether it is a trusted proxy; None
        without proxies."""
        self._starter = starter
        self._trusts = trusts

    def of(self, request: Request) -> Trace:
        """Returns the place of a request in its trace, always the same."""
        if not request.traceparent:
            fields = request.fields
            traceparent = fields.traceparent
            # Several lines are as malformed as a wrong one; known lines have only one.
            if not traceparent or (fields.is_parsed and fields.count(b"traceparent") != 1):
                self._starter.begin(request)
            else:
                state = _tracestate(fields) if fields.roles & TRACESTATE else ""
                is_trusted = self._trusts is not None and self._trusts(request.peer)
                self._starter.start(request, traceparent, state, is_trusted=is_trusted)
        return request


def _tracestate(fields: HeaderFields) -> str:
    """Returns the lines of `tracestate`, joined by commas; among known lines is only one."""
    if not fields.is_parsed:
        return fields.first(_TRACESTATE) or ""
    raw = fields.raw
    lines = [value.decode("latin-1") for name, value in raw if name.lower() == _TRACESTATE]
    return ",".join(lines)
