"""The beginning of traces: ids, and which are sampled; by the definition and the native module."""

import random

import pytest

from gateway.config.tracing import TracingOptions, Trust
from gateway.telemetry.traces.starting import TraceIds, TraceStarter
from gateway.trace_context import Trace, read_tracestate
from gateway.transcoding.json.native import VARIABLE, native_module

SPAN = "00f067aa0ba902b7"


@pytest.fixture(params=["python", "native"], autouse=True)
def ids(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chooses what makes the ids."""
    monkeypatch.setenv(VARIABLE, "")
    if request.param == "native" and native_module() is None:
        pytest.skip("the native module is not built: `make native`")
    monkeypatch.setenv(VARIABLE, request.param)


def started(traceparent: str = "", *, is_trusted: bool = False, **options: object) -> int:
    """The flags of a trace."""
    starter = TraceStarter(TracingOptions.model_validate(options))
    trace = Trace()
    starter.start(trace, traceparent, "", is_trusted=is_trusted)
    return trace.trace_flags


def begun(starter: TraceStarter) -> Trace:
    """A trace that begins at the gateway."""
    trace = Trace()
    starter.begin(trace)
    return trace


def parent(low: str, flags: str = "00") -> str:
    """The span of a client; `low` are the digits of its trace id that decide."""
    return f"00-{'a' * 16}{low}-{SPAN}-{flags}"


@pytest.mark.parametrize(
    ("low", "ratio", "is_sampled"),
    [
        ("0" * 16, 0.0, False),
        ("0" * 16, 1e-9, True),
        ("7fffffffffffffff", 0.5, True),
        ("8000000000000000", 0.5, False),
        ("f" * 16, 1.0, True),
    ],
)
def test_the_ratio_decides_by_the_lower_half_of_the_id(
    low: str, ratio: float, *, is_sampled: bool
) -> None:
    assert started(parent(low), ratio=ratio) == is_sampled


def test_about_the_ratio_of_new_traces_is_sampled() -> None:
    starter = TraceStarter(TracingOptions(ratio=0.25))
    traces = [begun(starter) for _ in range(4000)]
    assert 800 < sum(one.is_sampled for one in traces) < 1200
    assert {one.trace_flags for one in traces} == {2, 3}
    assert len({one.trace_id for one in traces}) == 4000
    assert len({one.span_id for one in traces} | {one.call_span_id for one in traces}) == 8000


@pytest.mark.parametrize(
    ("trust", "is_trusted", "obeys"),
    [
        (Trust.ALL, False, True),
        (Trust.ALL, True, True),
        (Trust.TRUSTED, False, False),
        (Trust.TRUSTED, True, True),
        (Trust.NONE, True, False),
    ],
)
def test_the_flag_of_a_client_counts_if_it_is_trusted(
    trust: Trust, *, is_trusted: bool, obeys: bool
) -> None:
    low = "8" * 16
    flags = [
        started(parent(low, flags), is_trusted=is_trusted, trust=trust, ratio=ratio)
        for flags, ratio in (("01", 0), ("00", 1), ("03", 0))
    ]
    assert flags == ([1, 0, 3] if obeys else [0, 1, 2])


def texts(chance: random.Random) -> str:
    """A `traceparent` that is often malformed in one place."""
    text = parent("7" * 16, chance.choice(["00", "01", "ff", "0g"]))
    text = chance.choice(["00", "01", "fe", "ff"]) + text[2:]
    text += chance.choice(["", "", "-", "-more", ".", "1", "\ud800"])
    if chance.random() < 0.5:
        at = chance.randrange(len(text))
        text = text[:at] + chance.choice(["", "0", "F", "-", "\n", "é", "\ud800"]) + text[at + 1 :]
    return text.replace(SPAN, "0" * 16) if chance.random() < 0.1 else text


def test_both_continue_the_same_traces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "")
    module = native_module()
    if module is None:
        pytest.skip("the native module is not built: `make native`")
    both = [TraceIds(1 << 63), module.TraceIds(1 << 63)]
    chance = random.Random(1)
    continued = 0
    for _ in range(4000):
        text, obeys = texts(chance), chance.random() < 0.5
        # All but the ids of the new spans.
        found = [
            None if made is None else (made[:35], made[52:55], len(made))
            for made in (one.obey(text) if obeys else one.go_on(text) for one in both)
        ]
        assert found[0] == found[1], text
        continued += found[0] is not None
    assert 400 < continued < 3000


def states(chance: random.Random) -> str:
    """A `tracestate`, often malformed in one place."""
    key = chance.choice(["a", "0k_-*/@", "k" * 256, "k" * 257, "_a", "A", "", "a.b"])
    value = chance.choice(["1", "a b", "~!+->", "v" * 256, "v" * 257, "", " ", " b", "b ", "\x7f"])
    usual = [f"v{number}=1" for number in range(chance.choice([0, 0, 1, 3, 31, 32, 33]))]
    text = chance.choice([",", ",", ", ", ",,"]).join([*usual, f"{key}={value}"])
    if chance.random() < 0.3:
        at = chance.randrange(len(text))
        text = text[:at] + chance.choice(["", "=", ",", "\t", "é", "\ud800", "\0"]) + text[at + 1 :]
    return text


def test_a_tracestate_is_passed_on_as_the_definition_reads_it() -> None:
    starter, chance, passed = TraceStarter(TracingOptions()), random.Random(2), 0
    for _ in range(4000):
        text = states(chance)
        trace = Trace()
        starter.start(trace, parent("7" * 16), text, is_trusted=False)
        assert trace.tracestate == read_tracestate(text), text
        passed += trace.tracestate != ""
    assert 300 < passed < 3000


def test_a_new_trace_is_sampled_by_the_lower_half_of_its_id_too() -> None:
    starter = TraceStarter(TracingOptions(ratio=0.5))
    traces = [begun(starter) for _ in range(200)]
    assert {one.is_sampled for one in traces} == {True, False}
    assert [one for one in traces if one.is_sampled != (one.trace_id[16] < "8")] == []
