"""The trace of one request, and the header fields of W3C Trace Context that carry it.

Source: W3C Trace Context, level 2 (sections 3.2 traceparent, 3.3 tracestate, 4 processing).
"""

import re
from typing import Final

from gateway.status import Code

SAMPLED: Final = 0x01
"""The flag of a trace that is recorded (section 3.2.2.5.1)."""
RANDOM: Final = 0x02
"""The flag of a trace id whose last seven bytes are random (section 3.2.2.5.2)."""
TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"
FIELDS: Final = (TRACEPARENT, TRACESTATE)
"""The names of the header fields, also as metadata."""

# The form of a traceparent, with `h` for each hexadecimal digit: version, trace id, span id, flags.
_FORM: Final = b"hh-" + b"h" * 32 + b"-" + b"h" * 16 + b"-hh"
_LENGTH: Final = len(_FORM)
# Digits, in lower case, become `h`, and a dash stays; every other byte becomes NUL. So the form is
# checked by one translation and one comparison, which costs less than a pattern.
_KINDS: Final = bytes(
    [ord("h") if chr(b) in "0123456789abcdef" else b if b == ord("-") else 0 for b in range(256)]
)
# The first digit of an id with the highest bit of the id inverted.
_TWINS: Final = {digit: f"{int(digit, 16) ^ 8:x}" for digit in "0123456789abcdef"}
_NO_TRACE: Final = "0" * 32
_NO_SPAN: Final = "0" * 16
_MEMBER: Final = re.compile(
    r"[a-z0-9][a-z0-9_\-*/@]{0,255}"
    r"=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)
_MOST_MEMBERS: Final = 32
_LONGEST_STATE: Final = 512
"""The characters that section 3.3.1.5 demands to pass on; a longer list is dropped."""


class Parent:
    """The span of a client, from its `traceparent`."""

    __slots__ = ("flags", "span_id", "trace_id")

    def __init__(self, trace_id: str, span_id: str, flags: str) -> None:
        self.trace_id = trace_id
        """32 hexadecimal digits."""
        self.span_id = span_id
        """16 hexadecimal digits."""
        self.flags = flags
        """Two hexadecimal digits; `flag_bits` is their number."""

    @property
    def flag_bits(self) -> int:
        """The flags as a number."""
        return int(self.flags, 16)


class Trace:
    """The place of one request in its trace: the span of the request, and that of its call.

    Most requests are not recorded and never need each id alone, so one text has them all, as the
    bytes that are sent. Ids are hexadecimal digits in lower case. `note_call` is called when the
    call to the back end has ended; without it, no back end was called.
    """

    __slots__ = (
        "call_code",
        "call_ended_s",
        "call_started_s",
        "called_upstream",
        "client_traceparent",
        "is_sampled",
        "traceparent",
        "tracestate",
    )

    # Set by `place` alone.
    client_traceparent: str
    """The `traceparent` of the client; empty if the trace begins here."""
    tracestate: str
    """The value of `tracestate`, as received; empty if there is none."""
    is_sampled: bool
    """True if the trace is recorded, as decided at its start."""
    # Set by `note_call` alone.
    called_upstream: str
    call_started_s: float
    call_ended_s: float

    def __init__(self) -> None:
        self.traceparent = b""
        """The `traceparent` for the back end; empty before `place`."""
        self.call_code: Code | None = None
        """The code with which the call ended; None if there is none."""

    def place(self, traceparent: bytes, client_traceparent: str, tracestate: str) -> None:
        """Takes the `traceparent` for the back end, whose parent is the span of the call; of the
        flags only `SAMPLED` and `RANDOM` are set.
        """
        self.traceparent = traceparent
        self.client_traceparent = client_traceparent
        self.tracestate = tracestate
        self.is_sampled = traceparent[_LENGTH - 1] & SAMPLED != 0

    @property
    def trace_flags(self) -> int:
        """The flags as a number."""
        return self.traceparent[_LENGTH - 1] & (SAMPLED | RANDOM)  # of the last digit

    @property
    def written_flags(self) -> str:
        """The flags as two digits."""
        return self.traceparent[53:_LENGTH].decode()

    @property
    def trace_id(self) -> str:
        """The id of the trace."""
        return self.traceparent[3:35].decode()

    @property
    def span_id(self) -> str:
        """The id of the request's span: that of its call with the highest bit inverted.

        So one random id makes two that differ, which costs less.
        """
        call = self.call_span_id
        return _TWINS[call[0]] + call[1:]

    @property
    def call_span_id(self) -> str:
        """The id of the span of the request's call."""
        return self.traceparent[36:52].decode()

    @property
    def parent_id(self) -> str:
        """The id of the client's span; empty if the trace begins here."""
        return self.client_traceparent[36:52]

    @property
    def for_back_end(self) -> str:
        """The `traceparent` for the back end."""
        return self.traceparent.decode()

    def note_call(self, upstream: str, code: Code, started_s: float, ended_s: float) -> None:
        """Notes how the call to the back end ended; the times are those of the monotonic clock."""
        self.called_upstream = upstream
        self.call_code = code
        self.call_started_s = started_s
        self.call_ended_s = ended_s


def read_traceparent(text: str) -> Parent | None:
    """Parses a `traceparent`; returns None if it is malformed.

    Version ff and ids of zeros are invalid. A version above 00 is read as far as version 00 goes,
    and may have more after the flags (section 4.3).
    """
    ids = ids_of(text)
    return None if ids is None else Parent(ids[0], ids[1], ids[2])


def ids_of(text: str) -> tuple[str, str, str] | None:
    """Returns the parts of a `Parent` alone, which costs less; None if `text` is malformed."""
    known = text[:_LENGTH]
    if not known.isascii() or known.encode().translate(_KINDS) != _FORM:
        return None
    if len(text) > _LENGTH and (text[_LENGTH] != "-" or text.startswith("00")):
        return None
    trace_id, span_id = text[3:35], text[36:52]
    if trace_id == _NO_TRACE or span_id == _NO_SPAN or text.startswith("ff"):
        return None
    return trace_id, span_id, text[53:55]


def read_tracestate(text: str) -> str:
    """Returns a `tracestate`, of all its lines with commas between them; empty if it is not valid.

    It is valid with at most 32 members and 512 characters (section 3.3.1). It stays as it is, also
    where a key comes twice, but for the tabs around members: metadata cannot have them.
    """
    if len(text) > _LONGEST_STATE:
        return ""
    members = [one.strip(" \t") for one in text.split(",")]
    members = [one for one in members if one]  # empty members are allowed
    if not members or len(members) > _MOST_MEMBERS or not all(map(_MEMBER.fullmatch, members)):
        return ""
    return text.replace("\t", " ")
