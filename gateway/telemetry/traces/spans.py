"""Builds the spans of an ended request: that of the request, of its call, and of its attempts.

Names are those of OpenTelemetry's semantic conventions 1.44 ("HTTP spans", "gRPC"), as in the
access log. Text that the access log masks is masked here too. The native module encodes the spans
of most requests, a twin of what is defined here.
"""

import time
from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple

from gateway.telemetry.masking import mask_credentials, query_names
from gateway.telemetry.record import Attempt, Code, Record, Trace, error_type
from gateway.telemetry.traces import otlp
from gateway.transcoding.json.native import native_module

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.44.0"
_METHODS: Final = frozenset(
    ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE", "QUERY"]
)
_LONGEST: Final = 1024
"""The characters of a client's text in a span; the rest is cut off."""


_PATH: Final = otlp.Attribute("url.path")
_QUERY: Final = otlp.Attribute("url.query")
_REQUEST_ID: Final = otlp.Attribute("gateway.request.id")
_REQUEST_SIZE: Final = otlp.Attribute("http.request.body.size")
_RESPONSE_SIZE: Final = otlp.Attribute("http.response.body.size")


class _CallSpan(NamedTuple):
    """The parts of the span of a call; the times are seconds since 1970."""

    rpc_method: str
    title: bytes
    attributes: bytes
    is_failed: bool
    started_s: float
    ended_s: float


_NO_CALL: Final = _CallSpan("", b"", b"", is_failed=False, started_s=0.0, ended_s=0.0)


class SpanBuilder:
    """Encodes the spans of requests as items of `ScopeSpans.spans`."""

    def __init__(self, scheme: str) -> None:
        self._scheme = scheme
        module = native_module()
        self._native: Callable[..., bytes | None] | None = (
            None if module is None else module.request_spans
        )

    def encode(self, record: Record, trace: Trace) -> bytes:
        """Returns the span of a request, that of its call if there was one, and those of the call's
        attempts if there were several."""
        binding, path, query = record.binding, record.path, record.query
        title, outcome, is_failed = _outcome(
            record.method,
            None if binding is None else binding.rule.template,
            record.status,
            record.code,
            self._scheme,
            record.http_version,
        )
        if record.masks.hides_anything:
            path = record.masks.mask(path, binding)
        if query:
            query = query_names(query, None if binding is None else binding.method.input)[:_LONGEST]
        caller = _caller(record.client, record.peer, record.user_agent, record.host)
        call = _NO_CALL
        if trace.call_code is not None and binding is not None:
            call = _call_span(trace, trace.call_code, binding.method.path[1:])
        spans = None
        if self._native is not None and not record.first_byte_s:
            spans = self._native(
                trace.traceparent, trace.parent_id, trace.tracestate, title, outcome, is_failed,
                record.at_s, record.duration_s, path, query,
                record.request_bytes, record.response_bytes, record.request_id, caller,
                call.title, call.attributes, call.is_failed, call.started_s, call.ended_s,
            )  # fmt: skip
        if spans is None:
            details = outcome + _details(record, path) + caller
            if query:
                details += _QUERY.of(query)
            spans = _request(record, trace, title, details, is_failed=is_failed)
            if call is not _NO_CALL:
                spans += _call(trace, call)
        if call is not _NO_CALL:
            for number, attempt in enumerate(record.attempts, 1):
                spans += _attempt(trace, number, attempt, call.rpc_method)
        return spans


def _details(record: Record, path: str) -> bytes:
    """Returns the attributes that differ in each request."""
    return (
        _PATH.of(_shown(path))
        + _REQUEST_SIZE.of(record.request_bytes)
        + _RESPONSE_SIZE.of(record.response_bytes)
        + _REQUEST_ID.of(_shown(record.request_id))
    )


def _request(
    record: Record, trace: Trace, title: bytes, attributes: bytes, *, is_failed: bool
) -> bytes:
    """Returns the span of a request."""
    return otlp.span(
        trace.trace_id,
        trace.span_id,
        trace.parent_id,
        trace.tracestate,
        trace.trace_flags,
        title,
        record.at_s - record.duration_s,
        record.at_s,
        attributes,
        otlp.event("first_byte", record.first_byte_s) if record.first_byte_s else b"",
        is_failed=is_failed,
        is_remote=trace.parent_id != "",
    )


def _call_span(trace: Trace, code: Code, rpc_method: str) -> _CallSpan:
    """Returns the parts of the span of a call; each code but OK is a failure of it."""
    # The wall clock is read for the calls that are recorded only.
    clocks_s = time.time() - time.monotonic()
    title, attributes = _call_outcome(rpc_method, trace.called_upstream, code)
    started_s, ended_s = trace.call_started_s + clocks_s, trace.call_ended_s + clocks_s
    return _CallSpan(rpc_method, title, attributes, code is not Code.OK, started_s, ended_s)


def _call(trace: Trace, call: _CallSpan) -> bytes:
    """Returns the span of the call to the back end."""
    return otlp.span(
        trace.trace_id,
        trace.call_span_id,
        trace.span_id,
        trace.tracestate,
        trace.trace_flags,
        call.title,
        call.started_s,
        call.ended_s,
        call.attributes,
        is_failed=call.is_failed,
        is_remote=False,
    )


def _attempt(trace: Trace, number: int, attempt: Attempt, rpc_method: str) -> bytes:
    """Returns the span of one of several attempts at the call, with the names of gRFC A45."""
    code = attempt.code
    found: dict[str, otlp.Value] = {
        "previous-rpc-attempts": attempt.previous,
        "transparent-retry": attempt.is_transparent,
        "gateway.endpoint": attempt.endpoint,
        "rpc.response.status_code": code.name,
    }
    if code is not Code.OK:
        found["error.type"] = code.name
    return otlp.span(
        trace.trace_id,
        # Near the id of the call, which is random: no other span of the trace has it.
        f"{int(trace.call_span_id, 16) ^ number:016x}",
        trace.call_span_id,
        trace.tracestate,
        trace.trace_flags,
        otlp.title(f"Attempt.{rpc_method.replace('/', '.')}", otlp.CLIENT),
        attempt.started_s,
        attempt.ended_s,
        otlp.attributes(found),
        is_failed=code is not Code.OK,
        is_remote=False,
    )


# The functions below are cached: most requests have these values in common with an earlier one.
# Their arguments are texts and numbers: a binding would be kept beyond a reload, with its schema.


@lru_cache(maxsize=512)
def _outcome(  # noqa: PLR0917 - all that it depends on
    method: str, route: str | None, status: int, code: Code, scheme: str, version: str
) -> tuple[bytes, bytes, bool]:
    """Returns the title of a span, attributes, and whether it failed."""
    error = error_type(status, code)
    known = method if method in _METHODS else "_OTHER"
    name = "HTTP" if known != method else method
    found: dict[str, otlp.Value] = {
        "http.request.method": known,
        "url.scheme": scheme,
        "http.response.status_code": status,
        "rpc.response.status_code": code.name,
    }
    if version:
        found["network.protocol.version"] = version
    if known != method:
        found["http.request.method_original"] = _shown(method)[:64]
    if route is not None:
        found["http.route"] = route
        name = f"{name} {route}"
    if error:
        found["error.type"] = error
    is_failed = status >= 500 or (error != "" and status < 400)
    return otlp.title(name, otlp.SERVER), otlp.attributes(found), is_failed


@lru_cache(maxsize=512)
def _caller(client: str, peer: str, user_agent: str, host: str) -> bytes:
    found: dict[str, otlp.Value] = {
        "client.address": _shown(client),
        "network.peer.address": _shown(peer),
    }
    if user_agent:
        found["user_agent.original"] = _shown(user_agent)
    name, port = _split(host)
    if name:
        found["server.address"] = _shown(name)
    if port:
        found["server.port"] = port
    return otlp.attributes(found)


@lru_cache(maxsize=512)
def _call_outcome(rpc_method: str, upstream: str, code: Code) -> tuple[bytes, bytes]:
    """Returns the title of the span of a call, and attributes."""
    found: dict[str, otlp.Value] = {
        "rpc.system.name": "grpc",
        "rpc.method": rpc_method,
        "rpc.response.status_code": code.name,
        "gateway.upstream": upstream,
    }
    if code is not Code.OK:
        found["error.type"] = code.name
    return otlp.title(rpc_method, otlp.CLIENT), otlp.attributes(found)


def _shown(text: str) -> str:
    # Mask before the cut: a secret that is cut short may not be recognised.
    return mask_credentials(text)[:_LONGEST]


def _split(host: str) -> tuple[str, int]:
    """Splits a `Host` into the host and the port, 0 if it has none."""
    name, colon, port = host.rpartition(":")
    if colon and port.isascii() and port.isdigit() and len(port) <= 5:
        return name.strip("[]"), int(port)
    return host.strip("[]"), 0
