"""Makes the request's span the current one of OpenTelemetry's API, for custom interceptors."""

from gateway.call import Call, Handler, Interceptor, Reply

try:
    from opentelemetry.context import attach, detach
    from opentelemetry.trace import (
        NonRecordingSpan,
        SpanContext,
        TraceFlags,
        TraceState,
        set_span_in_context,
    )
except ImportError:
    IS_INSTALLED = False
else:
    IS_INSTALLED = True


def opentelemetry_context() -> list[Interceptor]:
    """Returns the stage that stands before custom interceptors; none without OpenTelemetry's API.

    The spans that interceptors make, and those of libraries that they call, are then children of
    the request's span.
    """
    return [_with_current_span] if IS_INSTALLED else []


async def _with_current_span(call: Call, proceed: Handler) -> Reply:
    trace = call.trace
    if trace is None:
        return await proceed(call)
    context = SpanContext(
        int(trace.trace_id, 16),
        int(trace.span_id, 16),
        is_remote=False,
        trace_flags=TraceFlags(trace.trace_flags),
        trace_state=TraceState.from_header([trace.tracestate]),
    )
    token = attach(set_span_in_context(NonRecordingSpan(context)))
    try:
        return await proceed(call)
    finally:
        detach(token)
