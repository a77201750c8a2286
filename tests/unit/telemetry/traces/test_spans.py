"""The spans of the native module are those of their definition."""

import random

import pytest

from gateway.config.tracing import TracingOptions
from gateway.status import Attempt, Code
from gateway.telemetry.traces import otlp
from gateway.telemetry.traces.spans import SpanBuilder
from gateway.telemetry.traces.starting import TraceStarter
from gateway.trace_context import Trace
from gateway.transcoding.json.native import VARIABLE, native_module
from tests.support.entries import bindings, entry

HOLDER = bindings()["/v1/holders/{holder}"]
PARENTS = ["", f"00-{'a1' * 16}-{'b2' * 8}-01", f"00-{'0f' * 16}-{'e9' * 8}-02"]
STATES = ["", "k=v", "vendor@a=" + "x" * 250]
TEXTS = ["/v1/holders/ada", "", "é", "\udc80", "a%41", "eyJ", '"', "a" * 127, "a" * 128, "b" * 1100]
CODES = [Code.OK, Code.NOT_FOUND, Code.UNAVAILABLE]


@pytest.fixture
def builders(monkeypatch: pytest.MonkeyPatch) -> tuple[SpanBuilder, SpanBuilder]:
    """The native builder, and its definition."""
    monkeypatch.setenv(VARIABLE, "")
    if native_module() is None:
        pytest.skip("the native module is not built: `make native`")
    native = SpanBuilder("https")
    monkeypatch.setenv(VARIABLE, "python")
    return native, SpanBuilder("https")


def trace_of(chance: random.Random, starter: TraceStarter) -> Trace:
    """A trace that begins here or goes on, with or without a call."""
    parent = chance.choice(PARENTS)
    trace = Trace()
    if parent:
        is_trusted = chance.random() < 0.5
        starter.start(trace, parent, chance.choice(STATES), is_trusted=is_trusted)
    else:
        starter.begin(trace)
    if chance.random() < 0.7:
        started_s = chance.random() * 1e6
        trace.note_call("main", chance.choice(CODES), started_s, started_s + chance.random())
    return trace


def test_the_native_spans_are_those_of_the_definition(
    builders: tuple[SpanBuilder, SpanBuilder], monkeypatch: pytest.MonkeyPatch
) -> None:
    native, definition = builders
    monkeypatch.setattr("time.time", lambda: 1_800_000_000.25)
    monkeypatch.setattr("time.monotonic", lambda: 12_345.5)
    chance, starter = random.Random(5), TraceStarter(TracingOptions(ratio=0.5))
    for number in range(3000):
        asked = entry(
            at_s=number * 1_400_003.7 + 2e6,
            duration_s=chance.random() * 10 ** chance.randrange(-6, 4),
            path=chance.choice(TEXTS),
            query=chance.choice(["", "holder=x", "x=1&" * 40]),
            request_id=chance.choice(["id-1", chance.choice(TEXTS)]),
            method=chance.choice(["GET", "BREW"]),
            binding=chance.choice([HOLDER, HOLDER, None]),
            status=chance.choice([200, 404, 503]),
            request_bytes=chance.choice([0, 127, 128, 1 << 40]),
            response_bytes=1 << chance.randrange(62),
            client=chance.choice(["192.0.2.1", "é"]),
            first_byte_s=chance.choice([0.0, 0.0, 5.5]),
            attempts=chance.choice([(), (Attempt("a:1", 0, False, 1.0, 2.0, Code.OK),)]),
        )
        trace = trace_of(chance, starter)
        assert native.encode(asked, trace) == definition.encode(asked, trace), number


def test_most_requests_are_encoded_natively(
    builders: tuple[SpanBuilder, SpanBuilder], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> bytes:
        raise AssertionError("it is encoded by the definition")

    native, definition = builders
    monkeypatch.setattr(otlp, "span", fail)
    starter = TraceStarter(TracingOptions(ratio=1))
    trace = Trace()
    starter.start(trace, PARENTS[1], "k=v", is_trusted=True)
    trace.note_call("main", Code.OK, 1.0, 2.0)
    asked = entry(path="/v1/holders/ada", query="holder=x", binding=HOLDER)
    assert native.encode(asked, trace)
    with pytest.raises(AssertionError):
        definition.encode(asked, trace)
