"""What lines look like: one JSON object, or text for people; neither can be forged by a client.

Names are those of OpenTelemetry's semantic conventions (HTTP, RPC, general attributes), and of its
log data model for what every line has; what they have no name for begins with `gateway.`.
"""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from json.encoder import encode_basestring_ascii
from typing import Final

from gateway.telemetry.event import Value
from gateway.telemetry.masking import mask_credentials

LIMIT: Final = 1024
"""A text that is longer is cut; a client decides how long most of them are."""


SEVERITIES: Final = {
    logging.DEBUG: "DEBUG",
    logging.INFO: "INFO",
    logging.WARNING: "WARN",
    logging.ERROR: "ERROR",
    logging.CRITICAL: "FATAL",
}
"""Names of OpenTelemetry's log data model (SeverityText) by `logging`'s numbers."""

_MILLISECONDS: Final = [f".{number:03}Z" for number in range(1000)]
_CLASS_COLOURS: Final = {1: "2", 2: "32", 3: "36", 4: "33", 5: "31"}
_COLOURS: Final = {"DEBUG": "2", "INFO": "32", "WARN": "33", "ERROR": "31", "FATAL": "31;1"}


def quoted(text: str) -> str:
    """A text as a JSON string of printable ASCII, cut where it is too long."""
    if len(text) <= LIMIT and text.isascii():
        return encode_basestring_ascii(text)
    if len(text) > LIMIT:
        text = f"{text[:LIMIT]}... and {len(text) - LIMIT} more"
    if not text.isascii():
        # Bytes that are no UTF-8 came as lone surrogates, which strict readers of JSON refuse.
        text = text.encode("utf-8", "backslashreplace").decode()
    return encode_basestring_ascii(text)


def plain(text: str) -> str:
    """A text for a terminal, which it cannot control."""
    return quoted(text)[1:-1].replace('\\"', '"').replace("\\u007f", "?").replace("\x7f", "?")


def instant(at_s: float) -> str:
    """An instant in UTC, with milliseconds (RFC 3339)."""
    second = int(at_s)
    return _date(second) + _MILLISECONDS[int((at_s - second) * 1000)]


def seconds(duration_s: float) -> str:
    """A duration down to the microsecond. A format takes three times as long."""
    whole, part = divmod(int(duration_s * 1_000_000), 1_000_000)
    return f"{whole}.{str(part + 1_000_000)[1:]}"


@lru_cache(maxsize=8)
def _date(second: int) -> str:
    """Saves formatting a date for every line; there are many lines a second."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def json_line(at_s: float, severity: str, scope: str, fields: Mapping[str, Value]) -> str:
    """One JSON object and the end of the line; fields that are None are left out."""
    said = "".join(
        f",{quoted(name)}:{_json(value)}" for name, value in fields.items() if value is not None
    )
    head = f'{{"timestamp":"{instant(at_s)}","severity_text":"{severity}","scope.name":"{scope}"'
    return f"{head}{said}}}\n"


def text_line(at_s: float, severity: str, text: str, *, colour: bool) -> str:
    """A line for people."""
    shown = f"{severity:5}"
    if colour:
        shown = f"\x1b[{_COLOURS[severity]}m{shown}\x1b[0m"
    return f"{instant(at_s)} {shown} {text}\n"


def coloured_status(status: int) -> str:
    """The status of an HTTP response for a terminal, coloured by its class."""
    colour = _CLASS_COLOURS.get(status // 100)
    return str(status) if colour is None else f"\x1b[{colour}m{status}\x1b[0m"


def pairs(fields: Mapping[str, Value]) -> str:
    """Fields for people: `name=value`, those that are None or empty left out."""
    shown = {name: value for name, value in fields.items() if value not in (None, "")}
    return " ".join(f"{name}={plain(str(value))}" for name, value in shown.items())


def _json(value: Value) -> str:
    if isinstance(value, str):
        return quoted(mask_credentials(value))
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
