"""The grammar of traceparent (W3C Trace Context section 3.2)."""

import pytest

from gateway.trace_context import read_traceparent

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("version", "rest"),
    [("00", ""), *((version, rest) for version in ("01", "fe") for rest in ("", "-", "-more"))],
)
def test_a_trace_has_its_ids_and_flags(version: str, rest: str) -> None:
    found = read_traceparent(f"{version}-{TRACE}-{SPAN}-0a{rest}")
    assert found is not None
    assert (found.trace_id, found.span_id, found.flags) == (TRACE, SPAN, "0a")
    assert found.flag_bits == 0x0A


@pytest.mark.parametrize(
    "value",
    [
        "",
        "00",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-0",
        f"00-{TRACE}-{SPAN}-011",
        f"00-{TRACE}-{SPAN}-01x",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00_{TRACE}-{SPAN}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE[:-1]}--{SPAN}-01",
        f" 00-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\n",
        "hh-" + "h" * 32 + "-" + "h" * 16 + "-hh",
    ],
)
def test_any_other_form_is_no_trace(value: str) -> None:
    assert read_traceparent(value) is None


@pytest.mark.parametrize(
    "character", ["\0", "h", "g", "`", "/", ":", "A", '"', "\x7f", "é", "\udc80"]
)
def test_no_other_character_is_a_digit(character: str) -> None:
    value = f"00-{TRACE}-{SPAN}-01"
    for at in (0, 3, 20, 36, 51, 54):
        assert read_traceparent(value[:at] + character + value[at + 1 :]) is None
