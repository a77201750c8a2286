"""The format of log lines: a JSON object, or text for people. Clients can forge neither.

Names are those of OpenTelemetry's semantic conventions (HTTP, RPC, general attributes), and of its
log data model for the fields of every line. All other names begin with `gateway.`.
"""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from json.encoder import encode_basestring_ascii
from typing import Final

from gateway.telemetry.event import Value
from gateway.telemetry.masking import mask_credentials

__all__ = ["Value"]
__all__ += ["LIMIT", "SEVERITIES", "coloured_status", "date", "instant", "json_line"]
__all__ += ["milliseconds", "pairs", "plain", "quoted", "seconds", "text_line"]

LIMIT: Final = 1024
"""The maximum length of a text; longer ones are cut, because clients choose most lengths."""


SEVERITIES: Final = {
    logging.DEBUG: "DEBUG",
    logging.INFO: "INFO",
    logging.WARNING: "WARN",
    logging.ERROR: "ERROR",
    logging.CRITICAL: "FATAL",
}
"""Names of OpenTelemetry's log data model (SeverityText), by the numbers of `logging`."""

_THREE: Final = [f"{number:03}" for number in range(1000)]
"""Numbers below 1,000 with three digits."""
_MILLISECONDS: Final = [f".{number}" for number in _THREE]
# Printable ASCII stays, without the two characters that JSON escapes; every other byte becomes
# another one. A translation costs less than an encoder that looks at each character.
_AS_IT_IS: Final = bytes(
    [b if 0x20 <= b <= 0x7E and b not in b'"\\' else (0 if b else 1) for b in range(256)]
)
_CLASS_COLOURS: Final = {1: "2", 2: "32", 3: "36", 4: "33", 5: "31"}
_COLOURS: Final = {"DEBUG": "2", "INFO": "32", "WARN": "33", "ERROR": "31", "FATAL": "31;1"}


class _Dates:
    """Formats seconds, and remembers the last one: there are many lines in one second."""

    def __init__(self) -> None:
        # One value, so that no thread sees the second without its text.
        self._last = (0, "1970-01-01T00:00:00")

    def of(self, second: int) -> str:
        """Returns the date and the time in UTC of a second since 1970."""
        known, text = self._last
        if known != second:
            text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
            self._last = (second, text)
        return text


_DATES: Final = _Dates()


def quoted(text: str) -> str:
    """Returns a text as a JSON string of printable ASCII, cut after `LIMIT` characters."""
    if len(text) <= LIMIT and text.isascii():
        data = text.encode()
        if data.translate(_AS_IT_IS) == data:
            return '"' + text + '"'
        return encode_basestring_ascii(text)
    if len(text) > LIMIT:
        text = f"{text[:LIMIT]}... and {len(text) - LIMIT} more"
    if not text.isascii():
        # Bytes that are not UTF-8 became lone surrogates, which strict JSON parsers reject.
        text = text.encode("utf-8", "backslashreplace").decode()
    return encode_basestring_ascii(text)


def plain(text: str) -> str:
    """Returns a text without control characters, so that it cannot control a terminal."""
    return quoted(text)[1:-1].replace('\\"', '"').replace("\\u007f", "?").replace("\x7f", "?")


def date(at_s: float) -> str:
    """Formats the date and the time of an instant in UTC, up to its second (RFC 3339)."""
    return _DATES.of(int(at_s))


def milliseconds(at_s: float) -> str:
    """Formats the milliseconds of an instant, with the point before them."""
    return _MILLISECONDS[int((at_s - int(at_s)) * 1000)]


def instant(at_s: float) -> str:
    """Formats an instant in UTC, with milliseconds (RFC 3339)."""
    return f"{date(at_s)}{milliseconds(at_s)}Z"


def seconds(duration_s: float) -> str:
    """Formats a duration with microseconds; a format string would take three times as long."""
    micros = int(duration_s * 1_000_000)
    millis = micros // 1000
    whole = millis // 1000
    return f"{whole}.{_THREE[millis - whole * 1000]}{_THREE[micros - millis * 1000]}"


def json_line(at_s: float, severity: str, scope: str, fields: Mapping[str, Value]) -> str:
    """Returns a line with one JSON object; fields that are None are left out."""
    members = "".join(
        f",{quoted(name)}:{_json(value)}" for name, value in fields.items() if value is not None
    )
    head = f'{{"timestamp":"{instant(at_s)}","severity_text":"{severity}","scope.name":"{scope}"'
    return f"{head}{members}}}\n"


def text_line(at_s: float, severity: str, text: str, *, colour: bool) -> str:
    """Returns a line of text for people."""
    shown = f"{severity:5}"
    if colour:
        shown = f"\x1b[{_COLOURS[severity]}m{shown}\x1b[0m"
    return f"{instant(at_s)} {shown} {text}\n"


def coloured_status(status: int) -> str:
    """Returns the status of an HTTP response for a terminal, coloured by its class."""
    colour = _CLASS_COLOURS.get(status // 100)
    return str(status) if colour is None else f"\x1b[{colour}m{status}\x1b[0m"


def pairs(fields: Mapping[str, Value]) -> str:
    """Returns fields as `name=value`; those that are None or empty are left out."""
    shown = {name: value for name, value in fields.items() if value not in (None, "")}
    return " ".join(f"{name}={plain(str(value))}" for name, value in shown.items())


def _json(value: Value) -> str:
    if isinstance(value, str):
        return quoted(mask_credentials(value))
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
