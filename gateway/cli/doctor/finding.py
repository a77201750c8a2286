"""The result of one examination."""

from dataclasses import dataclass
from typing import Final, Literal

State = Literal["ok", "warn", "fail"]
STATES: Final[tuple[State, ...]] = ("ok", "warn", "fail")


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    state: State
    """warn: the gateway works, but not as well or as safely as it could; fail: it cannot start, or
    cannot answer some requests."""
    subject: str
    """The part that was examined."""
    text: str
    """The fact that was found."""
    advice: str = ""
    """The remedy; empty if there is nothing to do."""


def ok(subject: str, text: str) -> Finding:
    """Returns a finding without a fault."""
    return Finding("ok", subject, text)


def warn(subject: str, text: str, advice: str) -> Finding:
    """Returns a finding that can wait."""
    return Finding("warn", subject, text, advice)


def fail(subject: str, text: str, advice: str) -> Finding:
    """Returns a finding that cannot wait."""
    return Finding("fail", subject, text, advice)
