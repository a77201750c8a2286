"""Reads the traceparent of a request (W3C Trace Context section 3.2)."""

from typing import Final

# The form of a value, with `h` for each hexadecimal digit: version, trace id, span id, flags.
_FORM: Final = b"hh-" + b"h" * 32 + b"-" + b"h" * 16 + b"-hh"
_LENGTH: Final = len(_FORM)
# Digits, in lower case, become `h`, and a dash stays; every other byte becomes NUL. So the form is
# checked by one translation and one comparison, which costs less than a pattern.
_KINDS: Final = bytes(
    [ord("h") if chr(b) in "0123456789abcdef" else b if b == ord("-") else 0 for b in range(256)]
)
_NO_TRACE: Final = "0" * 32
_NO_SPAN: Final = "0" * 16


def parse_traceparent(value: str) -> tuple[str, str, str] | None:
    """Returns the trace id, the span id and the flags, in hexadecimal; None if it is invalid.

    Version ff and ids of zeros are invalid. A later version may add fields after the flags.
    """
    known = value[:_LENGTH]
    if not known.isascii() or known.encode().translate(_KINDS) != _FORM:
        return None
    if len(value) > _LENGTH and value[_LENGTH] != "-":
        return None
    trace, span = value[3:35], value[36:52]
    if trace == _NO_TRACE or span == _NO_SPAN or value.startswith("ff"):
        return None
    return trace, span, value[53:55]
