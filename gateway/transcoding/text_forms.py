"""The text forms of scalars and well-known types: one definition for JSON, queries and paths.

The rules are those of protobuf.dev, "ProtoJSON Format". Where they allow a choice, the strict one
applies, so that no digit or character of a request is lost silently.
"""

import math
import re
import struct
from binascii import a2b_base64
from datetime import datetime
from typing import Final

_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,30})")
_NUMBER: Final = re.compile(r"(-?)(0|[1-9][0-9]*+)(?:\.([0-9]++))?(?:[eE]([+-]?[0-9]++))?")
_BASE64: Final = re.compile(r"(?:[A-Za-z0-9+/]*+|[A-Za-z0-9_-]*+)={0,2}")
_URL_SAFE: Final = str.maketrans("-_", "+/")
_TIMESTAMP: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9])(?:\.([0-9]{1,9}))?"
    r"(?:Z|([+-])([01][0-9]|2[0-3]):([0-5][0-9]))"
)
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 # both ends of the difference are in UTC
_FIRST_S: Final = -62_135_596_800  # year 1 (google/protobuf/timestamp.proto)
_LAST_S: Final = 253_402_300_799  # the end of year 9999
_DURATION: Final = re.compile(r"(-?)([0-9]{1,12})(?:\.([0-9]{1,9}))?s")
_DURATION_MAX_S: Final = 315_576_000_000  # google/protobuf/duration.proto
_MOST_DIGITS: Final = 31  # more than every integer type has
_MOST_EXPONENT_DIGITS: Final = 9  # no text that a body can hold makes up for more
_FLOAT_MAX: Final = float(struct.unpack("<f", b"\xff\xff\x7f\x7f")[0])
_FLOAT_LIMIT: Final = 3.4028235677973366e38  # half a step further, where infinity begins
_SHOWN: Final = 40


def shown(text: str, limit: int = _SHOWN) -> str:
    """Quotes `text` for an error message: short, and without control characters."""
    cut = text if len(text) <= limit else f"{text[:limit]}..."
    return '"' + "".join([c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in cut]) + '"'


def expected(what: str, text: str) -> ValueError:
    """Makes the error for text that is not `what`."""
    return ValueError(f"expected {what}, got {shown(text)}")


def parse_integer(text: str) -> int | None:
    """Parses a number as JSON spells it; None if it is not a whole one, or has over 31 digits.

    A text that is no number is None too; `is_number` tells them apart.
    """
    # Most integers are some digits: three calls to see that cost less than a pattern.
    if len(text) <= _MOST_DIGITS and text.isascii() and text.isdigit():
        if text[0] != "0" or len(text) == 1:
            return int(text)
    elif _INTEGER.fullmatch(text):
        return int(text)
    found = _NUMBER.fullmatch(text)
    if found is None:
        return None
    sign, whole, fraction, exponent = found.groups()
    return _exact_integer(sign, whole, fraction or "", exponent or "0")


def is_number(text: str) -> bool:
    """True if a text is a number as JSON spells it."""
    return _NUMBER.fullmatch(text) is not None


def _exact_integer(sign: str, whole: str, fraction: str, exponent: str) -> int | None:
    """Returns the integer that decimal digits spell exactly, however many they are."""
    digits = whole + fraction
    significant = digits.strip("0")
    if not significant:
        return 0
    power = exponent.lstrip("+-").lstrip("0")
    if len(power) > _MOST_EXPONENT_DIGITS:
        return None
    shift = int(power or "0")
    if exponent.startswith("-"):
        shift = -shift
    # The digits from the first that is not zero to the point; fewer would leave a fraction.
    before = len(whole) - (len(digits) - len(digits.lstrip("0"))) + shift
    if not len(significant) <= before <= _MOST_DIGITS:
        return None
    return int(sign + significant + "0" * (before - len(significant)))


def parse_number(text: str, *, single: bool) -> float | None:
    """Parses a double, or with `single` a float; None if it is out of range.

    NaN, Infinity and -Infinity are valid.

    Raises:
        ValueError: the text is not a number.
    """
    if not _NUMBER.fullmatch(text):
        if text in ("NaN", "Infinity", "-Infinity"):
            return float(text)
        raise ValueError("it is not a number")
    return in_range(float(text), single=single)


def in_range(value: float, *, single: bool) -> float | None:
    """Rounds a finite number to the nearest one that its type holds; None if that is infinity."""
    if not single:
        return None if math.isinf(value) else value
    size = abs(value)
    if size >= _FLOAT_LIMIT:
        return None
    return math.copysign(_FLOAT_MAX, value) if size > _FLOAT_MAX else value


def parse_base64(text: str) -> bytes | None:
    """Decodes base64 in either alphabet, padded in full or not at all; None if it is not that."""
    if not _BASE64.fullmatch(text):
        return None
    rest = len(text) % 4
    # Whole groups of four with at most two paddings are valid whatever they are.
    if rest and (rest == 1 or text[-1] == "="):
        return None
    if "-" in text or "_" in text:
        text = text.translate(_URL_SAFE)
    return a2b_base64(text + "=" * (4 - rest) if rest else text)


def parse_timestamp(text: str) -> tuple[int, int]:
    """Reads RFC 3339 from year 1 to 9999, any offset, up to nine decimals.

    Returns the seconds since 1970 in UTC, and the nanoseconds after them.

    Raises:
        ValueError: says what was expected.
    """
    if len(text) == 20 and _has_plain_shape(text):
        try:
            return _since_epoch(text[:19]), 0
        except ValueError:
            pass  # the long way says what is wrong
    found = _TIMESTAMP.fullmatch(text)
    if found is None:
        raise expected("a time such as 2024-01-31T12:00:00Z", text)
    moment, decimals, sign, hours, minutes = found.groups()
    try:
        seconds = _since_epoch(moment)
    except ValueError:
        raise _no_such_time(text) from None
    if sign is not None:
        offset = int(hours) * 3600 + int(minutes) * 60
        seconds += offset if sign == "-" else -offset
        if not _FIRST_S <= seconds <= _LAST_S:
            raise _no_such_time(text)
    return seconds, _nanos(decimals)


def _has_plain_shape(text: str) -> bool:
    """True if 20 characters are a time in whole seconds of UTC, if those between are digits."""
    # Hour 24 is not one of RFC 3339, but newer Pythons read it.
    return (
        text[4] == text[7] == "-"
        and text[10] == "T"
        and text[13] == text[16] == ":"
        and text[19] == "Z"
        and text[11:13] != "24"
    )


def _since_epoch(moment: str) -> int:
    """Returns the seconds of a moment in UTC, in the form 2024-01-31T12:00:00.

    Raises:
        ValueError: there is no such time.
    """
    since = datetime.fromisoformat(moment) - _EPOCH
    days: int = since.days
    seconds: int = since.seconds
    return days * 86_400 + seconds


def _no_such_time(text: str) -> ValueError:
    return expected("a time that exists, in years 0001 to 9999", text)


def parse_duration(text: str) -> tuple[int, int]:
    """Reads seconds with up to nine decimals and the suffix `s`.

    Returns seconds and nanoseconds, of one sign.

    Raises:
        ValueError: says what was expected.
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        raise expected("a duration in seconds such as 3.5s", text)
    sign = -1 if found[1] else 1
    seconds, nanos = int(found[2]), _nanos(found[3])
    # google/protobuf/duration.proto limits whole seconds; nanos are added to them.
    if seconds > _DURATION_MAX_S:
        raise ValueError(f"expected at most {_DURATION_MAX_S} seconds, got {shown(text)}")
    return sign * seconds, sign * nanos


def _nanos(decimals: str | None) -> int:
    return 0 if decimals is None else int(decimals.ljust(9, "0"))
