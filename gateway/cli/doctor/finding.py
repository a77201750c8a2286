"""The result of one examination."""

from dataclasses import dataclass
from enum import StrEnum


class Health(StrEnum):
    """The severity of a finding."""

    OK = "ok"
    WARN = "warn"
    """The gateway works, but not as well or as safely as it could."""
    FAIL = "fail"
    """The gateway cannot start, or cannot answer some requests."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    state: Health
    subject: str
    """The part that was examined."""
    text: str
    """The fact that was found."""
    advice: str = ""
    """The remedy; empty if there is nothing to do."""


def ok(subject: str, text: str) -> Finding:
    """Returns a finding without a fault."""
    return Finding(Health.OK, subject, text)


def warn(subject: str, text: str, advice: str) -> Finding:
    """Returns a finding that can wait."""
    return Finding(Health.WARN, subject, text, advice)


def fail(subject: str, text: str, advice: str) -> Finding:
    """Returns a finding that cannot wait."""
    return Finding(Health.FAIL, subject, text, advice)
