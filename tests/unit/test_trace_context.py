"""W3C Trace Context: what is read from header fields, and what is written."""

import pytest

from gateway.status import Code
from gateway.trace_context import Trace, read_traceparent, read_tracestate

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
MEMBERS = ",".join(f"k{number}=1" for number in range(32))
LONGEST = f"a={'1' * 256},b={'2' * 251}"


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        pytest.param(f"00-{TRACE}-{SPAN}-01", 1, id="sampled"),
        pytest.param(f"00-{TRACE}-{SPAN}-00", 0, id="not sampled"),
        pytest.param(f"00-{TRACE}-{SPAN}-ff", 255, id="unknown flags"),
        pytest.param(f"cc-{TRACE}-{SPAN}-01", 1, id="later version"),
        pytest.param(f"cc-{TRACE}-{SPAN}-01-what-will-be", 1, id="later version with more"),
    ],
)
def test_a_valid_traceparent(text: str, flags: int) -> None:
    found = read_traceparent(text)
    assert found is not None
    assert (found.trace_id, found.span_id, found.flag_bits) == (TRACE, SPAN, flags)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param(f"ff-{TRACE}-{SPAN}-01", id="version ff"),
        pytest.param(f"00-{TRACE}-{SPAN}-01-more", id="version 00 with more"),
        pytest.param(f"cc-{TRACE}-{SPAN}-01.more", id="later version without a hyphen"),
        pytest.param(f"00-{TRACE.upper()}-{SPAN}-01", id="capitals"),
        pytest.param(f"00-{'0' * 32}-{SPAN}-01", id="trace of zeros"),
        pytest.param(f"00-{TRACE}-{'0' * 16}-01", id="span of zeros"),
        pytest.param(f"00-{TRACE[1:]}-{SPAN}-01", id="short"),
        pytest.param(f"00-{TRACE}-{SPAN}-1", id="short flags"),
        pytest.param(f" 00-{TRACE}-{SPAN}-01", id="blank"),
        pytest.param(f"00-{TRACE}-{SPAN}-01\n", id="end of line"),
    ],
)
def test_a_malformed_traceparent(text: str) -> None:
    assert read_traceparent(text) is None


@pytest.mark.parametrize(
    ("lines", "value"),
    [
        pytest.param([], "", id="none"),
        pytest.param(["a=1"], "a=1", id="one"),
        pytest.param(["a=1 , ,b@c=2"], "a=1 , ,b@c=2", id="blanks and empty members stay"),
        pytest.param(["a=1", "b=2"], "a=1,b=2", id="two lines"),
        pytest.param(["a=1\t,\t b= 2"], "a=1 ,  b= 2", id="tabs become spaces"),
        pytest.param(["a=1", "", "b=2"], "a=1,,b=2", id="an empty line between"),
        pytest.param(["a=1,a=2"], "a=1,a=2", id="one key twice stays"),
        pytest.param(["a@=1,b@@c@d=2"], "a@=1,b@@c@d=2", id="at signs in keys"),
        pytest.param(["@a=1,b=2"], "", id="at sign first"),
        pytest.param(["a.b=1"], "", id="dot in a key"),
        pytest.param(["a =1"], "", id="blank after a key"),
        pytest.param(["a=,b=2"], "", id="empty value"),
        pytest.param(["a=1\t2"], "", id="tab in a value"),
        pytest.param([f"{'k' * 256}=1"], f"{'k' * 256}=1", id="longest key"),
        pytest.param([f"{'k' * 257}=1"], "", id="too long a key"),
        pytest.param(["A=1"], "", id="capital"),
        pytest.param(["a"], "", id="no value"),
        pytest.param(["a=b=c"], "", id="two equals signs"),
        pytest.param(["a=é"], "", id="not ASCII"),
        pytest.param([f"a={'1' * 256}"], f"a={'1' * 256}", id="longest value"),
        pytest.param([f"a={'1' * 257}"], "", id="too long a value"),
        pytest.param([MEMBERS], MEMBERS, id="32 members"),
        pytest.param([MEMBERS + ",z=1"], "", id="33 members"),
        pytest.param([LONGEST], LONGEST, id="512 characters"),
        pytest.param([f"a={'1' * 256}", f"b={'1' * 256}"], "", id="513 characters and more"),
    ],
)
def test_tracestate(lines: list[str], value: str) -> None:
    assert read_tracestate(",".join(lines)) == value


def test_a_trace_writes_its_spans() -> None:
    text = f"00-{TRACE}-b7ad6b7169203331-03"
    trace = Trace()
    trace.place(text.encode(), f"00-{TRACE}-{'c4' * 8}-01", "")
    assert (trace.trace_id, trace.written_flags) == (TRACE, "03")
    assert trace.span_id == "37ad6b7169203331"
    assert (trace.call_span_id, trace.parent_id) == ("b7ad6b7169203331", "c4" * 8)
    assert trace.for_back_end == text
    assert trace.is_sampled
    trace.note_call("main", Code.OK, 2.0, 0.5)
    assert (trace.called_upstream, trace.call_code) == ("main", Code.OK)
